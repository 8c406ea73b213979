import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Policy } from '@kelpie/policy';

export interface Tensor {
  readonly shape: readonly number[];
  readonly data: Float32Array | Float64Array;
}

interface Entry {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data_offsets: readonly [number, number];
}

/** Floating-point tensors of a safetensors file, by name. */
export async function readTensors(file: string): Promise<Map<string, Tensor>> {
  const bytes = await readFile(file);
  const start = 8 + Number(bytes.readBigUInt64LE());
  const { __metadata__: _, ...entries } = JSON.parse(bytes.toString('utf8', 8, start)) as Record<string, Entry>;
  return new Map(
    Object.entries(entries).map(
      ([
        name,
        {
          dtype,
          shape,
          data_offsets: [from, to],
        },
      ]) => {
        const { buffer } = Uint8Array.from(bytes.subarray(start + from, start + to));
        if (dtype !== 'F32' && dtype !== 'F64')
          throw new Error(`${file}: \`${name}\` is ${dtype}, expected F32 or F64`);
        return [name, { shape, data: dtype === 'F64' ? new Float64Array(buffer) : new Float32Array(buffer) }];
      },
    ),
  );
}

export function normOf({ data }: Tensor): number {
  let squares = 0;
  for (const value of data) squares += value * value;
  return Math.sqrt(squares);
}

/** Mean over the entries of |a - b|; not a number where sizes differ. */
export function meanDistance({ data: a }: Tensor, { data: b }: Tensor): number {
  let sum = a.length === b.length ? 0 : Number.NaN;
  for (const [i, value] of a.entries()) sum += Math.abs(value - b[i]!);
  return sum / a.length;
}

/** What a policy has trained, by the library's names, in its own precision. */
export async function trainedTensors(policy: Policy): Promise<Map<string, Tensor>> {
  const folder = await mkdtemp(join(tmpdir(), 'kelpie-trajectory-'));
  try {
    const file = join(folder, 'state.safetensors');
    await policy.saveState(file);
    const prefix = 'trained/';
    const tensors = [...(await readTensors(file))].filter(([name]) => name.startsWith(prefix));
    return new Map(tensors.map(([name, tensor]) => [name.slice(prefix.length), tensor]));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
