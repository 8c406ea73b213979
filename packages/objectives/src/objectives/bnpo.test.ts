import { expect, test } from 'vitest';
import { policyRows } from '../testing/policy-rows.js';
import { bnpo } from './bnpo.js';

test('the mean is over all tokens, and the KL with it', () => {
  const input = policyRows({
    logRatios: [[Math.LN2, 0], [-Math.LN2]],
    advantages: [1, -2],
    referenceLogRatios: [[0, 0], [Math.LN2]],
  });
  const { loss, cotangents } = bnpo.evaluate(input, { beta: 3 });
  expect(loss).toBeCloseTo((-1.2 - 1 + 1.6 + 3 * (Math.LN2 - 0.5)) / 3, 14);
  expect([...cotangents.logprobs!]).toEqual([0, -1 / 3, 0.5, 0].map((x) => expect.closeTo(x, 14)));
});
