import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Engine } from '@kelpie/policy';

interface Entry {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data_offsets: readonly [number, number];
}

/** The model in `folder` written anew, one tensor multiplied: the reference model of the golden values. */
export async function scaledCopy(
  folder: string,
  { tensor, times }: { readonly tensor: string; readonly times: number },
): Promise<{ readonly folder: string; remove(): Promise<void> }> {
  const parent = await mkdtemp(join(tmpdir(), 'kelpie-golden-'));
  const copy = join(parent, 'reference');
  const remove = () => rm(parent, { recursive: true, force: true });
  try {
    const engine = await Engine.open({ model: folder, threads: 1 });
    await engine.save(copy);
    await engine.dispose();
    await scaleTensor(join(copy, 'model.safetensors'), tensor, times);
    return { folder: copy, remove };
  } catch (error) {
    await remove();
    throw error;
  }
}

/** A float32 tensor of a safetensors file is multiplied where it lies. */
async function scaleTensor(file: string, tensor: string, times: number): Promise<void> {
  const handle = await open(file, 'r+');
  try {
    const length = Number((await read(handle, 0, 8)).readBigUInt64LE());
    const header = JSON.parse((await read(handle, 8, length)).toString('utf8')) as Record<string, Entry>;
    const name = canonicalName(tensor, Object.keys(header));
    const { data_offsets: offsets, dtype } = header[name]!;
    if (dtype !== 'F32') throw new Error(`\`${name}\` was saved as ${dtype}, expected F32`);
    const at = 8 + length + offsets[0];
    const bytes = await read(handle, at, offsets[1] - offsets[0]);
    for (let i = 0; i < bytes.length; i += 4) bytes.writeFloatLE(bytes.readFloatLE(i) * times, i);
    await handle.write(bytes, 0, bytes.length, at);
  } finally {
    await handle.close();
  }
}

async function read(handle: Awaited<ReturnType<typeof open>>, position: number, length: number): Promise<Buffer> {
  const buffer = Buffer.alloc(length);
  const { bytesRead } = await handle.read(buffer, 0, length, position);
  if (bytesRead !== length) throw new Error(`the file ends ${length - bytesRead} bytes early`);
  return buffer;
}

/** Output matrices that a tied model holds as its embedding. */
const heads = /(^|\.)(lm_head|embed_out)\.weight$/;
const embeddings = /(^|\.)(embed_tokens|wte|embed_in|word_embeddings)\.weight$/;

/**
 * The library's name of a tensor that a checkpoint may call otherwise: with or without a leading `transformer.` or
 * `model.`, or by the name of the other end where embedding and head are one matrix.
 */
export function canonicalName(name: string, known: readonly string[]): string {
  if (known.includes(name)) return name;
  const same = known.filter((candidate) => candidate.endsWith(`.${name}`) || name.endsWith(`.${candidate}`));
  const tied =
    heads.test(name) || embeddings.test(name) ? known.filter((n) => heads.test(n) || embeddings.test(n)) : [];
  const found = same.length > 0 ? same : tied;
  if (found.length === 1) return found[0]!;
  throw new Error(`the model has no tensor \`${name}\`${found.length > 1 ? `, but ${found.join(' and ')}` : ''}`);
}
