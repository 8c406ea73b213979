import { expect, test } from 'vitest';
import { oneTokenRows } from '../testing/rows-of.js';
import { d2o } from './d2o.js';
import { dpo } from './dpo.js';

test('duan2024: the mean of the anchors against the negative', () => {
  const input = oneTokenRows({ logratios: [2, 4, 1], perRow: { labels: [1, 1, 0] } });
  const { loss, cotangents, details } = d2o.evaluate(input, { beta: 0.5, alpha: 1.5 - Math.log(3) });
  // z = 0.5 · 3 - (1.5 - log 3) · 1 = log 3
  expect(details!.logits![0]).toBeCloseTo(Math.log(3), 14);
  expect(loss).toBeCloseTo(Math.log(4 / 3), 14);
  const alpha = 1.5 - Math.log(3);
  expect([...cotangents.logprobs!]).toEqual([-0.0625, -0.0625, alpha / 4].map((x) => expect.closeTo(x, 14)));
});

test('one anchor and equal weights are DPO', () => {
  const logratios = [0.4, -0.8];
  const ours = d2o.evaluate(oneTokenRows({ logratios, perRow: { labels: [1, 0] } }), { beta: 0.3, alpha: 0.3 });
  expect(ours.loss).toBeCloseTo(dpo.evaluate(oneTokenRows({ logratios }), { beta: 0.3 }).loss, 15);
});

test('a group without a negative tells nothing, and counts', () => {
  const input = oneTokenRows({ logratios: [0, 0, 3], perRow: { labels: [1, 0, 1], groups: [0, 0, 1] } });
  const { loss, cotangents } = d2o.evaluate(input);
  expect(loss).toBeCloseTo(Math.LN2 / 2, 15);
  expect(cotangents.logprobs![2]).toBe(0);
});
