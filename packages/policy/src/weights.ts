import { createHash } from 'node:crypto';
import { totalmem } from 'node:os';
import type { Model } from './architecture.js';
import { KelpieError } from './errors.js';
import { readSafetensors } from './files/safetensors.js';
import type { FloatArray, Parameter, Weights } from './parameters.js';
import { normals } from './random.js';

export type Arithmetic = 'float32' | 'float64';

export function allocate(dtype: Arithmetic, size: number): FloatArray {
  return dtype === 'float64' ? new Float64Array(size) : new Float32Array(size);
}

export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((a, b) => a * b, 1);
}

/** Buffers that older checkpoints carry and that are no weights. */
const BUFFERS = /(^|\.)(attn\.(bias|masked_bias)|rotary_emb\.inv_freq|attention\.(bias|masked_bias))$/;

export interface LoadedWeights {
  readonly weights: Weights;
  /** Parameter name -> the name under which the file holds it. */
  readonly fileNames: ReadonlyMap<string, string>;
}

/**
 * Reads every parameter of a model from its folder. What is missing, misshapen or left over is one error.
 *
 * @param seed of optional tensors that are missing.
 */
export async function loadWeights(folder: string, model: Model, dtype: Arithmetic, seed = 0): Promise<LoadedWeights> {
  const source = await readSafetensors(folder);
  const held = source.tensors;
  const problems: string[] = [];
  const fileNames = new Map<string, string>();
  for (const { name, aliases = [], shape, optional = false } of model.parameters) {
    const found = [name, ...aliases].find((candidate) => held.has(candidate));
    if (found === undefined) {
      if (!optional) problems.push(`\`${name}\` [${shape.join(', ')}] is missing`);
    } else {
      const got = held.get(found)!.shape;
      if (got.length !== shape.length || got.some((n, i) => n !== shape[i])) {
        problems.push(`\`${found}\` is [${got.join(', ')}], the config makes it [${shape.join(', ')}]`);
      }
      fileNames.set(name, found);
    }
  }
  const known = new Set([
    ...model.parameters.flatMap(({ name, aliases = [] }) => [name, ...aliases]),
    ...(model.leftAside ?? []),
  ]);
  for (const name of held.keys()) {
    if (!known.has(name) && !BUFFERS.test(name) && !isTiedCopy(name, model))
      problems.push(`\`${name}\` is no weight of this architecture`);
  }
  if (problems.length > 0) {
    const shown = problems.slice(0, 20).map((problem) => `  ${problem}`);
    const more = problems.length > 20 ? `\n  and ${problems.length - 20} more` : '';
    throw new KelpieError(`the weights do not fit config.json:\n${shown.join('\n')}${more}`, {
      code: 'weights',
      where: source.files.length === 1 ? { file: source.files[0]! } : { folder },
    });
  }

  const weights: Weights = new Map();
  for (const parameter of model.parameters) {
    const { name, shape } = parameter;
    const file = fileNames.get(name);
    if (file === undefined) {
      weights.set(name, { shape, data: initial(parameter, dtype, seed) });
      continue;
    }
    const data = dtype === 'float64' ? await source.readFloat64(file) : await source.read(file);
    const bad = data.findIndex((x) => !Number.isFinite(x));
    if (bad >= 0) {
      throw new KelpieError(`weight ${bad} is ${data[bad]}: the checkpoint is damaged`, {
        code: 'weights-not-finite',
        where: { file: held.get(file)!.file, tensor: file },
      });
    }
    weights.set(name, { shape, data });
  }
  return { weights, fileNames };
}

/** Tied checkpoints may hold the head again. */
function isTiedCopy(name: string, model: Model): boolean {
  return name === 'lm_head.weight' && model.headWeight !== 'lm_head.weight';
}

/** Seeded initial weights; each tensor has a stream of its own, so that the order of parameters does not matter. */
export function initialWeights(model: Model, dtype: Arithmetic, seed: number): Weights {
  const numbers = model.parameters.reduce((sum, { shape }) => sum + sizeOf(shape), 0);
  const bytes = numbers * (dtype === 'float64' ? 8 : 4);
  if (bytes > totalmem()) {
    throw new KelpieError(
      `the config asks for ${numbers} parameters, ${Math.ceil(bytes / 2 ** 30)} GiB; this machine has ${Math.floor(totalmem() / 2 ** 30)}: make the model smaller`,
      { code: 'config-value' },
    );
  }
  return new Map(
    model.parameters.map((parameter) => [
      parameter.name,
      { shape: parameter.shape, data: initial(parameter, dtype, seed) },
    ]),
  );
}

function initial({ name, shape, init }: Parameter, dtype: Arithmetic, seed: number): FloatArray {
  const data = allocate(dtype, sizeOf(shape));
  if ('constant' in init) return data.fill(init.constant);
  const next = normals(seed, name);
  // Rounded to float32 in both arithmetics: a float64 check starts from the same weights.
  for (let i = 0; i < data.length; i++) data[i] = Math.fround(next() * init.std);
  return data;
}

/** sha256 over names, shapes and bytes, in order of names. */
export function hashWeights(weights: Weights, also: string): string {
  const hash = createHash('sha256').update(also);
  for (const name of [...weights.keys()].sort()) {
    const { shape, data } = weights.get(name)!;
    hash.update(`${name}[${shape.join(',')}]`).update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }
  return hash.digest('hex');
}
