import { expect, test } from 'vitest';
import { oneTokenRows } from '../testing/rows-of.js';
import { asymmetricPo } from './asymmetric-po.js';
import { grpo } from './grpo.js';

const rewards = [1, 0];

test('right answers of a half-solved prompt are held to the reference less, wrong ones in full', () => {
  const input = oneTokenRows({ logratios: [Math.LN2, Math.LN2], perRow: { rewards } });
  const { details, cotangents } = asymmetricPo.evaluate(input, { beta: 1 });
  const [right, wrong] = details!.advantages!;
  expect(right).toBeCloseTo(Math.SQRT1_2, 8);
  expect(details!.klWeights![0]).toBeCloseTo(1 - Math.exp(-Math.E / 2), 15);
  expect(details!.klWeights![1]).toBe(1);
  // k3 at d = log 2: slope 1/2, over two rows.
  expect(cotangents.logprobs![0]).toBeCloseTo(-right! / 2 + details!.klWeights![0]! / 4, 14);
  expect(cotangents.logprobs![1]).toBeCloseTo(-wrong! / 2 + 1 / 4, 14);
});

test('where all agree there is the KL alone, in full', () => {
  const input = oneTokenRows({ logratios: [Math.LN2, 0], perRow: { rewards: [1, 1] } });
  const { loss } = asymmetricPo.evaluate(input, { beta: 1 });
  expect(loss).toBeCloseTo((Math.LN2 - 0.5) / 2, 14);
});

test('without KL and with answers of one length it is GRPO', () => {
  const input = oneTokenRows({ logratios: [0, 0], oldLogratios: [0.1, -0.4], perRow: { rewards } });
  const ours = asymmetricPo.evaluate(input, { beta: 0 });
  const advantages = ours.details!.advantages!;
  expect(ours.loss).toBeCloseTo(grpo.evaluate({ ...input, perToken: { advantages } }, { beta: 0 }).loss, 15);
});
