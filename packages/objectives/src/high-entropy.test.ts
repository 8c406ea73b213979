import { expect, test } from 'vitest';
import { onHighEntropy } from './high-entropy.js';
import type { Objective } from './objective.js';
import { dapo } from './objectives/dapo.js';
import { highEntropyGrpo } from './objectives/high-entropy-grpo.js';

const of = (...values: number[]) => Float64Array.from(values);

/** Two rows of 3 and 2 tokens. */
const input = {
  rows: 2,
  tokens: 3,
  completionMask: Uint8Array.of(1, 1, 1, 1, 1, 0),
  policy: { logprobs: of(-1, -2, -3, -0.5, -1.5, 0), entropy: of(0.1, 2, 1, 3, 0.2, 9) },
  old: { logprobs: of(-1.2, -1.9, -3.5, -0.4, -1.5, 0) },
  perToken: { advantages: of(1, 1, 1, -2, -2, 0) },
};

test('wang2025: GRPO on the tokens of highest entropy is the objective of its own', () => {
  const options = { topEntropyQuantile: 0.5, aggregation: 'tokens', clipRangeHigh: 0.28 } as const;
  const wrapped = onHighEntropy({ objective: dapo as unknown as Objective }, 0.5);
  const [a, b] = [wrapped.evaluate(input), highEntropyGrpo.evaluate(input, options)];
  expect(a.loss).toBeCloseTo(b.loss, 14);
  expect(a.cotangents.logprobs).toEqual(b.cotangents.logprobs);
  expect(a.metrics['entropy/kept_fraction']).toEqual({ sum: 3, count: 5 });
});

test('clip fractions are those of all tokens', () => {
  const { metrics, details } = onHighEntropy({ objective: dapo as unknown as Objective }, 0.2).evaluate(input);
  expect(metrics['clip_ratio/high_mean']).toEqual({ sum: 1, count: 5 });
  expect(details?.clippedHigh).toEqual(of(0, 0, 1, 0, 0, 0));
});
