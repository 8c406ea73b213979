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
  /** The reference's copies of what is trained, if it has moved; else empty. */
  readonly reference: Weights;
  readonly stepsDone: number;
  readonly updated: boolean;
}

const PARTS = ['trained', 'm', 'v', 'reference'] as const;
type Part = (typeof PARTS)[number];

/** One safetensors file, whole or not at all: `trained/NAME`, `m/NAME`, `v/NAME`, `reference/NAME`. */
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

/**
 * Reads into the arrays of `into`, after everything has been checked. A reference that has moved cannot be brought back to
 * its start, which nobody keeps.
 */
export async function readState(
  file: string,
  into: Pick<State, 'hash' | Part> & { readonly referenceMoved: boolean },
): Promise<{ stepsDone: number; updated: boolean; referenceMoved: boolean }> {
  const source = await readSafetensors(file);
  const fail = (message: string): never => {
    throw new KelpieError(message, { code: 'state', where: { file } });
  };
  if (source.metadata.format !== 'kelpie-state') fail('this is no saved training state');
  if (source.metadata.policy !== into.hash)
    fail('the state belongs to another model, adapter or arithmetic than the one that is open');
  const has = (part: Part) => [...source.tensors.keys()].some((name) => name.startsWith(`${part}/`));
  const moments = Number(source.metadata.stepsDone) > 0 || has('m');
  const referenceMoved = has('reference');
  if (referenceMoved && into.reference.size === 0)
    fail('the state holds a reference that has moved: open the policy with keepReference `moving`');
  if (!referenceMoved && into.referenceMoved)
    fail('the state is of before the reference moved, which it has since: open the policy anew');
  const stepsDone = Number(source.metadata.stepsDone);
  if (!Number.isSafeInteger(stepsDone) || stepsDone < 0) fail(`\`stepsDone\` is ${source.metadata.stepsDone}`);
  const reads: { data: FloatArray; read: FloatArray }[] = [];
  const parts: readonly Part[] = [
    'trained',
    ...(moments ? (['m', 'v'] as const) : []),
    ...(referenceMoved ? (['reference'] as const) : []),
  ];
  for (const part of parts) {
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
  return { stepsDone, updated: source.metadata.updated === 'true', referenceMoved };
}
