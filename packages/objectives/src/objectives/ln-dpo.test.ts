import { describe, expect, test } from 'vitest';
import { meanMetrics } from '../metrics.js';
import { lossOfPair, pairsOf, tableOf } from '../testing/index.js';
import { dpo } from './dpo.js';
import { lnDpo } from './ln-dpo.js';

describe('lambert2024 eq 6', () => {
  // Means log 3 and 0
  const input = pairsOf([[2 * Math.log(3), 0], [0]]);

  test('DPO on means over tokens', () => {
    const { loss, cotangents } = lnDpo.evaluate(input, { beta: 1 });
    expect(loss).toBeCloseTo(-Math.log(0.75), 14);
    expect(tableOf(cotangents.logprobs!, input)).toEqual([
      [expect.closeTo(-0.125, 14), expect.closeTo(-0.125, 14)],
      [expect.closeTo(0.25, 14), 0],
    ]);
  });

  test('logged rewards are sums', () => {
    expect(meanMetrics(lnDpo.evaluate(input, { beta: 1 }).metrics)['rewards/chosen']).toBeCloseTo(2 * Math.log(3), 14);
  });

  test('an empty completion has a mean of 0', () => {
    expect(lnDpo.evaluate(pairsOf([[], [0]])).loss).toBe(Math.LN2);
  });
});

test('one token a side: dpo', () => {
  const options = { beta: 0.7, labelSmoothing: 0.1 };
  expect(lossOfPair(lnDpo, [1, -0.5], options)).toEqual(
    lossOfPair(dpo, [1, -0.5], options).map((value) => expect.closeTo(value, 15)),
  );
});
