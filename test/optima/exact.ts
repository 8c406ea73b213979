import type { Divergence } from '@kelpie/objectives';
import { expectation } from '@kelpie/objectives/enumerable';
import { type Policy, treeOf } from '@kelpie/policy';

/** Digits 0, 1, 2 and completions of six of them: everything that `gpt-nano-sort` can be asked and can say. */
export const digits = 6;
const count = 3 ** digits;
const numbered = (n: number) => Array.from({ length: digits }, (_, i) => Math.floor(n / 3 ** (digits - 1 - i)) % 3);
export const sequences: readonly (readonly number[])[] = Array.from({ length: count }, (_, n) => numbered(n));

/** [prompts][729]: log-probability of every completion, nats. Completions that share their beginning are scored as one tree. */
export async function allLogprobs(
  policy: Policy,
  prompts: readonly (readonly number[])[],
  temperature: number,
): Promise<Float64Array[]> {
  const together = 9;
  const all: Float64Array[] = [];
  for (const prompt of prompts) {
    const trees = Array.from({ length: count / together }, (_, i) =>
      treeOf(
        sequences
          .slice(i * together, (i + 1) * together)
          .map((ids) => ({ ids: [...prompt, ...ids], scoreFrom: prompt.length })),
      ),
    );
    const { logprobs } = await policy.score({ trees, scores: ['logprobs'], temperature });
    all.push(
      Float64Array.from(sequences, (_, row) => {
        return logprobs!.subarray(row * digits, (row + 1) * digits).reduce((sum, logprob) => sum + logprob, 0);
      }),
    );
  }
  return all;
}

/** E R - beta D(policy ‖ reference), of all completions. */
export function regularisedValue(
  logprobs: Float64Array,
  reference: Float64Array,
  rewards: Float64Array,
  { beta, divergence }: { readonly beta: number; readonly divergence: Divergence },
): number {
  return expectation(logprobs, rewards) - beta * divergence.exact(logprobs, reference).value;
}

export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
