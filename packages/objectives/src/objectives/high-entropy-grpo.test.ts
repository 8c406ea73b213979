import { expect, test } from 'vitest';
import { policyRows } from '../testing/policy-rows.js';
import { grpo } from './grpo.js';
import { highEntropyGrpo } from './high-entropy-grpo.js';

const input = policyRows({
  logRatios: [[0, 0, 0], [0]],
  advantages: [1, -2],
  entropy: [[1, 4, 2], [3]],
});

test('wang2025: the tokens of highest entropy of the step, whichever row they are in', () => {
  const { loss, cotangents, metrics } = highEntropyGrpo.evaluate(input, { topEntropyQuantile: 0.5 });
  // Median 2.5: 4 and 3 stay. Dropped tokens still count in their row's mean.
  expect(loss).toBeCloseTo((-1 / 3 + 2) / 2, 14);
  expect([...cotangents.logprobs!].slice(0, 4)).toEqual([0, -1 / 6, 0, 1].map((x) => expect.closeTo(x, 14)));
  expect(metrics['entropy/kept_fraction']).toEqual({ sum: 2, count: 4 });
});

test('all of them is GRPO', () => {
  const all = highEntropyGrpo.evaluate(input, { topEntropyQuantile: 1 });
  const { loss, cotangents } = grpo.evaluate(input, { beta: 0 });
  expect([all.loss, all.cotangents]).toEqual([loss, cotangents]);
});
