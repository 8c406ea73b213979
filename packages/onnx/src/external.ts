import { randomUUID } from 'node:crypto';
import { type FileHandle, mkdir, open, readFile, realpath, rename, rm } from 'node:fs/promises';
import { basename, dirname, isAbsolute, relative, resolve, sep, win32 } from 'node:path';
import { OnnxError } from './errors.js';
import type { AttributeValue, Graph, Tensor } from './graph.js';
import { decodeModel, type EncodeOptions, encodeModel } from './proto.js';

/** Where a tensor may start in the file: ONNX Runtime then maps it instead of reading it. */
const ALIGNMENT = 4096;

/** Initializers from this size on are moved out of the model. */
const SMALLEST = 1024;

/** One write or read call; some systems stop at 2 GiB. */
const CHUNK = 2 ** 26;

export type ReadExternal = (tensor: Tensor) => Promise<Uint8Array>;

export interface WriteOptions extends EncodeOptions {
  /** Gives the bytes of initializers that already lie in a file: `readExternal` of the model they come from. */
  readonly readExternal?: ReadExternal;
}

/**
 * Writes `path` and, for initializers of 1 KiB or more, `path.data` beside it, one tensor in memory at a time. Both appear
 * whole or not at all, the data first; a reader that has the old files open keeps them.
 */
export async function writeModel(
  path: string,
  graph: Graph,
  { readExternal, ...options }: WriteOptions = {},
): Promise<void> {
  const dataPath = `${path}.data`;
  const { placed, moved } = place(graph, basename(dataPath));
  for (const { data, name } of moved) {
    if (data.kind === 'external' && readExternal === undefined) {
      throw new OnnxError(
        'external',
        `tensor \`${name}\` lies in \`${data.location}\`, beside the model it comes from; pass that model's \`readExternal\``,
        { tensor: name, location: data.location },
      );
    }
  }
  const bytes = encodeModel(placed, options);
  await mkdir(dirname(path), { recursive: true });
  const suffix = `.${randomUUID()}.partial`;
  try {
    if (moved.length > 0) await writeWhole(dataPath + suffix, (file) => writeTensors(file, moved, readExternal));
    await writeWhole(path + suffix, (file) => writeAt(file, bytes, 0));
    if (moved.length > 0) await rename(dataPath + suffix, dataPath);
    await rename(path + suffix, path);
  } finally {
    await rm(dataPath + suffix, { force: true });
    await rm(path + suffix, { force: true });
  }
}

/**
 * The graph with its large initializers at offsets of the data file, and these initializers as they were. Graphs inside
 * it count too, and so does what already lies in a file, whatever its size: its old place is nothing to the new model.
 */
function place(graph: Graph, location: string): { placed: Graph; moved: Tensor[] } {
  const moved: Tensor[] = [];
  let end = 0;
  const move = (tensor: Tensor): Tensor => {
    const length = lengthOf(tensor);
    const offset = align(end);
    moved.push(tensor);
    end = offset + length;
    return { ...tensor, data: { kind: 'external', location, offset, length } };
  };
  const visit = (g: Graph): Graph => ({
    ...g,
    initializers: g.initializers.map((tensor) =>
      tensor.data.kind === 'external' || lengthOf(tensor) >= SMALLEST ? move(tensor) : tensor,
    ),
    nodes: g.nodes.map((node) => {
      const changed = new Map<string, AttributeValue>();
      for (const [name, attribute] of Object.entries(node.attributes)) {
        if (attribute.type === 'graph') changed.set(name, { type: 'graph', value: visit(attribute.value) });
        else if (attribute.type === 'tensor' && attribute.value.data.kind === 'external') {
          changed.set(name, { type: 'tensor', value: move(attribute.value) });
        }
      }
      if (changed.size === 0) return node;
      return { ...node, attributes: { ...node.attributes, ...Object.fromEntries(changed) } };
    }),
  });
  return { placed: visit(graph), moved };
}

const align = (offset: number): number => Math.ceil(offset / ALIGNMENT) * ALIGNMENT;

const lengthOf = ({ data }: Tensor): number => (data.kind === 'bytes' ? data.bytes.byteLength : data.length);

async function writeTensors(
  file: FileHandle,
  tensors: readonly Tensor[],
  readExternal: ReadExternal | undefined,
): Promise<void> {
  let end = 0;
  for (const tensor of tensors) {
    const bytes = tensor.data.kind === 'bytes' ? tensor.data.bytes : await readExternal!(tensor);
    if (bytes.byteLength !== lengthOf(tensor)) {
      throw new OnnxError(
        'tensor-size',
        `tensor \`${tensor.name}\` has ${lengthOf(tensor)} bytes, \`readExternal\` gave ${bytes.byteLength}`,
        {
          tensor: tensor.name,
        },
      );
    }
    const offset = align(end);
    await writeAt(file, bytes, offset);
    end = offset + bytes.byteLength;
  }
  await file.truncate(end);
}

async function writeWhole(path: string, write: (file: FileHandle) => Promise<void>): Promise<void> {
  const file = await open(path, 'wx');
  try {
    await write(file);
    await file.sync();
  } finally {
    await file.close();
  }
}

async function writeAt(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.byteLength; ) {
    const { bytesWritten } = await file.write(bytes, done, Math.min(CHUNK, bytes.byteLength - done), position + done);
    done += bytesWritten;
  }
}

// --- read ----------------------------------------------------------------------------------------------------------

export interface ReadModel {
  readonly graph: Graph;
  /** The bytes of a tensor of this model: those in memory as they are, those in a file read from it. */
  readonly readExternal: ReadExternal;
}

/** Reads the model; tensors in files beside it are read when asked for. */
export async function readModel(path: string): Promise<ReadModel> {
  const graph = await decodeFile(path);
  return { graph, readExternal: (tensor) => readTensor(path, tensor) };
}

async function decodeFile(path: string): Promise<Graph> {
  try {
    return decodeModel(await readFile(path));
  } catch (cause) {
    if (cause instanceof OnnxError)
      throw new OnnxError(cause.code, `${path}: ${cause.message}`, { ...cause.where, path }, cause);
    const code = (cause as NodeJS.ErrnoException).code;
    if (code === 'ENOENT') throw new OnnxError('not-found', `no model at \`${path}\``, { path }, cause);
    if (code === 'ERR_FS_FILE_TOO_LARGE') {
      throw new OnnxError(
        'too-large',
        `${path}: a model in one piece has at most 2 GiB; its weights belong in a file beside it`,
        { path },
        cause,
      );
    }
    throw cause;
  }
}

async function readTensor(modelPath: string, { name, data }: Tensor): Promise<Uint8Array> {
  if (data.kind === 'bytes') return data.bytes;
  const { location, offset, length } = data;
  const where = { tensor: name, location, model: modelPath };
  const path = await insideFolder(modelPath, location, where);
  const file = await open(path, 'r');
  try {
    const { size } = await file.stat();
    if (offset + length > size) {
      throw new OnnxError(
        'truncated',
        `tensor \`${name}\` lies at bytes ${offset} to ${offset + length} of \`${path}\`, which has ${size}; copy or download the file again`,
        where,
      );
    }
    const bytes = new Uint8Array(length);
    for (let done = 0; done < length; ) {
      const { bytesRead } = await file.read(bytes, done, Math.min(CHUNK, length - done), offset + done);
      if (bytesRead === 0)
        throw new OnnxError('truncated', `\`${path}\` became shorter while tensor \`${name}\` was read`, where);
      done += bytesRead;
    }
    return bytes;
  } finally {
    await file.close();
  }
}

/**
 * A model may name files in its own folder and below. Links count by where they end: beside the model, or beside the file
 * that the model itself is a link to, as in caches that keep contents apart from names.
 */
async function insideFolder(modelPath: string, location: string, where: Record<string, string>): Promise<string> {
  const folder = resolve(dirname(modelPath));
  const path = resolve(folder, location);
  const refuse = (): never => {
    throw new OnnxError(
      'unsafe-path',
      `tensor \`${where.tensor}\` is said to lie in \`${location}\`, outside the folder of \`${modelPath}\`; not read`,
      where,
    );
  };
  if (isAbsolute(location) || win32.isAbsolute(location) || location.includes('\0') || !below(folder, path)) refuse();
  const real = await realpath(path).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code !== 'ENOENT' && cause.code !== 'ENOTDIR') throw cause;
    throw new OnnxError(
      'not-found',
      `tensor \`${where.tensor}\` lies in \`${location}\`, which is not beside \`${modelPath}\``,
      where,
      cause,
    );
  });
  const folders = [await realpath(folder), dirname(await realpath(modelPath))];
  if (!folders.some((allowed) => below(allowed, real))) refuse();
  return real;
}

function below(folder: string, path: string): boolean {
  const rest = relative(folder, path);
  return rest !== '' && rest !== '..' && !rest.startsWith(`..${sep}`) && !isAbsolute(rest);
}
