import { expect, test } from 'vitest';
import { oneTokenRows } from '../testing/rows-of.js';
import { dpo } from './dpo.js';
import { hybridDpo } from './hybrid-dpo.js';

/** Log-probabilities of chosen and rejected under policy and reference. */
function pair(policy: readonly [number, number], reference: readonly [number, number]) {
  const logratios = policy.map((logprob, side) => logprob - reference[side]!);
  return oneTokenRows({ logprobs: policy, logratios });
}

test('where the reference prefers chosen it is DPO', () => {
  const input = pair([-1, -2], [-1.5, -2.25]);
  const [ours, theirs] = [hybridDpo.evaluate(input), dpo.evaluate(input)];
  expect(ours.loss).toBeCloseTo(theirs.loss, 15);
  expect(ours.cotangents.logprobs![0]).toBeCloseTo(theirs.cotangents.logprobs![0]!, 15);
});

test('where it prefers rejected, the policy has to prefer chosen itself: the reference does not count', () => {
  const input = pair([-2 + Math.log(3), -2], [-5, -1]);
  const { loss, details } = hybridDpo.evaluate(input, { beta: 1 });
  expect(loss).toBeCloseTo(-Math.log(3 / 4), 14);
  expect(details!.referenceMargins![0]).toBe(-4);
  // DPO is content: its margin is log 3 + 4.
  expect(dpo.evaluate(input, { beta: 1 }).loss).toBeLessThan(0.01);
});
