import { KelpieError } from './errors.js';
import { readSafetensors } from './files/safetensors.js';
import { type TensorToWrite, writeSafetensors } from './files/safetensors-write.js';
import type { FloatArray, Weights } from './parameters.js';
import type { Arithmetic } from './weights.js';

/** What training has changed: enough to go on bit for bit. */
export interface State {
  /** Hash of the policy as it was opened; a state fits that policy alone. */
  readonly hash: string;
  readonly trained: Weights;
  readonly m: Weights;
  readonly v: Weights;
  readonly stepsDone: number;
  readonly updated: boolean;
}

const PARTS = ['trained', 'm', 'v'] as const;

/** One safetensors file, whole or not at all: `trained/NAME`, `m/NAME`, `v/NAME`. */
export async function writeState(file: string, state: State, dtype: Arithmetic): Promise<void> {
  const tensors = PARTS.flatMap((part) =>
    [...state[part]].map(([name, { shape, data }]): TensorToWrite => ({ name: `${part}/${name}`, shape, data })),
  );
  const metadata = {
    format: 'kelpie-state',
    policy: state.hash,
    stepsDone: String(state.stepsDone),
    updated: String(state.updated),
  };
  await writeSafetensors(file, tensors, { metadata, dtype: dtype === 'float64' ? 'F64' : 'F32' });
}

/** Reads into the arrays of `into`, after everything has been checked. */
export async function readState(
  file: string,
  into: Pick<State, 'hash' | (typeof PARTS)[number]>,
): Promise<{ stepsDone: number; updated: boolean }> {
  const source = await readSafetensors(file);
  const fail = (message: string): never => {
    throw new KelpieError(message, { code: 'state', where: { file } });
  };
  if (source.metadata.format !== 'kelpie-state') fail('this is no saved training state');
  if (source.metadata.policy !== into.hash)
    fail('the state belongs to another model, adapter or arithmetic than the one that is open');
  const moments =
    Number(source.metadata.stepsDone) > 0 || [...source.tensors.keys()].some((name) => name.startsWith('m/'));
  const stepsDone = Number(source.metadata.stepsDone);
  if (!Number.isSafeInteger(stepsDone) || stepsDone < 0) fail(`\`stepsDone\` is ${source.metadata.stepsDone}`);
  const reads: { data: FloatArray; read: FloatArray }[] = [];
  for (const part of moments ? PARTS : (['trained'] as const)) {
    for (const [name, { data }] of into[part]) {
      const full = `${part}/${name}`;
      if (!source.tensors.has(full)) fail(`tensor \`${full}\` is missing`);
      const read = data instanceof Float64Array ? await source.readFloat64(full) : await source.read(full);
      if (read.length !== data.length) fail(`tensor \`${full}\` has ${read.length} numbers, expected ${data.length}`);
      if (read.some((x) => !Number.isFinite(x))) fail(`tensor \`${full}\` holds a number that is not finite`);
      reads.push({ data, read });
    }
  }
  for (const { data, read } of reads) data.set(read);
  return { stepsDone, updated: source.metadata.updated === 'true' };
}
