import { expect, test } from 'vitest';
import { policyRows } from '../testing/policy-rows.js';
import { vespo } from './vespo.js';

const rows = (logRatios: number[][], advantages: number[]) => policyRows({ logRatios, advantages });

test('φ is 1 on policy', () => {
  const { cotangents, metrics } = vespo.evaluate(rows([[0, 0], [0]], [1, -2]));
  expect([...cotangents.logprobs!]).toEqual([-1, -1, 2, 0].map((x) => expect.closeTo(x / 3, 14)));
  expect(metrics['vespo/phi_seq_mean']).toEqual({ sum: 2, count: 2 });
});

test('w^k e^{λ(1 - w)} of the completion, by the sign of its advantage', () => {
  // w = 2 from √2 · √2, and w = 1/2.
  const { details } = vespo.evaluate(rows([[Math.LN2 / 2, Math.LN2 / 2], [-Math.LN2]], [1, -1]));
  const [up, down] = [4 * Math.exp(-3), 0.125 * Math.exp(1)];
  expect([...details!.weights!]).toEqual([up, up, down, 0].map((x) => expect.closeTo(x, 13)));
});

test('far from on policy nothing is learnt, to either side', () => {
  for (const far of [-1e4, 1e4]) {
    const { cotangents } = vespo.evaluate(rows([[far]], [1]));
    expect(Math.abs(cotangents.logprobs![0]!)).toBeLessThan(1e-13);
  }
});
