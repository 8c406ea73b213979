import { describe, expect, test } from 'vitest';
import { countTotals } from '../input.js';
import { grpo } from '../objectives/grpo.js';
import { policyRows } from '../testing/policy-rows.js';
import { aggregations, aggregator } from './aggregation.js';
import { clippedLoss, softGateLoss } from './clip.js';
import { logRatios, pullRatios, ratioOf } from './importance.js';
import { quantile } from './rows.js';

const off = { clipRangeLow: 0.2, clipRangeHigh: 0.5, dualClip: 0, ratioCap: 0 };
const at = (ratio: number) => ({ ratio, slope: ratio, clamped: false });

describe('schulman2017 eq 7', () => {
  test.each([
    // ratio, advantage, loss, slope by log ratio
    [1, 2, -2, -2],
    [1.4, 2, -2.8, -2.8],
    [1.6, 2, -3, 0],
    [0.1, 2, -0.2, -0.2],
    [0.9, -2, 1.8, 1.8],
    [0.7, -2, 1.6, 0],
    [4, -2, 8, 8],
    [3, 0, 0, 0],
  ])('ratio %d, advantage %d', (ratio, advantage, loss, slope) => {
    const got = clippedLoss(at(ratio), advantage, off);
    expect(got.loss).toBeCloseTo(loss, 14);
    expect(got.slope).toBeCloseTo(slope, 14);
  });

  test('counts what the clip holds, by side', () => {
    expect(clippedLoss(at(1.6), 1, off)).toMatchObject({ low: false, high: true });
    expect(clippedLoss(at(0.7), -1, off)).toMatchObject({ low: true, high: false });
    expect(clippedLoss(at(1.6), -1, off)).toMatchObject({ low: false, high: false });
  });

  test('ye2019: a negative advantage costs at most c|A|', () => {
    expect(clippedLoss(at(4), -2, { ...off, dualClip: 3 })).toMatchObject({ loss: 6, slope: 0, dual: true });
    expect(clippedLoss(at(2), -2, { ...off, dualClip: 3 })).toMatchObject({ loss: 4, slope: 4, dual: false });
    expect(clippedLoss(at(4), 2, { ...off, dualClip: 3 }).dual).toBe(false);
  });

  test('a cap of the ratio where it is not clipped', () => {
    expect(clippedLoss(at(4), -2, { ...off, ratioCap: 3 })).toMatchObject({ loss: 6, slope: 0 });
    expect(clippedLoss(at(2), -2, { ...off, ratioCap: 3 })).toMatchObject({ loss: 4, slope: 4 });
  });
});

test('gao2025: the soft gate has slope 1 on policy and fades to either side', () => {
  expect(softGateLoss(at(1), 3, 1.7)).toEqual({ loss: -6 / 1.7, slope: -3 });
  expect(Math.abs(softGateLoss(at(40), 1, 1).slope)).toBeLessThan(1e-14);
  expect(softGateLoss(at(1e100), -1, 1).slope).toBe(0);
  expect(softGateLoss(at(1e-9), 1, 1).slope).toBeCloseTo(0, 8);
});

describe('ratios', () => {
  const grid = { rows: 2, tokens: 2, completionMask: Uint8Array.of(1, 1, 1, 0) };
  const [policy, old] = [Float64Array.of(-1, -1, -1, 9), Float64Array.of(-2, -4, -1.5, Number.NaN)];

  test.each([
    ['token', [1, 3, 0.5, 0]],
    ['row-mean', [2, 2, 0.5, 0]],
    ['row-sum', [4, 4, 0.5, 0]],
  ] as const)('of each %s, and their transpose', (importance, expected) => {
    expect([...logRatios(grid, policy, old, importance)]).toEqual(expected);
    // <g, J x> = <Jᵀ g, x>
    const g = Float64Array.of(0.3, -0.7, 1.1, 0);
    const pulled = pullRatios(grid, g, importance);
    const moved = logRatios(
      grid,
      policy,
      Float64Array.from(policy, (value, i) => value - g[i]!),
      importance,
    );
    const dot = (a: Float64Array, b: Float64Array) => a.reduce((sum, value, i) => sum + value * b[i]!, 0);
    expect(dot(g, moved)).toBeCloseTo(dot(pulled, g), 14);
  });

  test('held to a bound, without gradient beyond', () => {
    expect(ratioOf(3, 2)).toEqual({ ratio: Math.exp(2), slope: 0, clamped: true });
    expect(ratioOf(-3, 2)).toEqual({ ratio: Math.exp(-2), slope: 0, clamped: true });
    expect(ratioOf(1e4).ratio ** 2).toBeLessThan(Number.POSITIVE_INFINITY);
  });
});

describe('means', () => {
  const input = policyRows({ logRatios: [[0, 0, 0], [0], []] });
  const grid = { ...input, totals: countTotals('single', input) };
  const values = Float64Array.of(1, 2, 3, 10, 0, 0, 0, 0, 0);
  const mean = (aggregation: (typeof aggregations)[number], countEmptyRows = true) =>
    aggregator(grid, { aggregation, countEmptyRows, tokenBudget: 8 }).mean(values).loss;

  test('four, that differ', () => {
    expect(mean('tokens')).toBe(4);
    expect(mean('rows')).toBe((2 + 10) / 3);
    expect(mean('sums')).toBe(16 / 3);
    expect(mean('constant')).toBeCloseTo(16 / 24, 14);
  });

  test('an empty row counts, or does not', () => {
    expect(mean('rows', false)).toBe(6);
    expect(mean('sums', false)).toBe(8);
    expect(mean('constant', false)).toBe(1);
    expect(mean('tokens', false)).toBe(4);
  });

  test('of nothing is 0', () => {
    const none = policyRows({ logRatios: [[], []] });
    for (const aggregation of aggregations) {
      for (const countEmptyRows of [true, false]) {
        const of = aggregator({ ...none, totals: countTotals('single', none) }, { aggregation, countEmptyRows });
        expect(of.mean(new Float64Array(2)).loss).toBe(0);
      }
    }
  });
});

describe('the KL in the loss', () => {
  /** On policy with advantage 0: the KL alone. d = log 2. */
  const input = policyRows({ logRatios: [[0]], advantages: [0], referenceLogRatios: [[Math.LN2]] });
  const at = (options: object, rows = input) => {
    const { loss, cotangents, metrics } = grpo.evaluate(rows, { beta: 2, ...options });
    return { loss, slope: cotangents.logprobs![0]!, kl: metrics.kl!.sum };
  };

  test('is trained on by one estimator and reported by another', () => {
    expect(at({ klEstimator: 'k2', reportedKl: 'k1' })).toEqual({
      loss: expect.closeTo(Math.LN2 ** 2, 14),
      slope: expect.closeTo(2 * Math.LN2, 14),
      kl: expect.closeTo(Math.LN2, 14),
    });
    expect(at({ klEstimator: 'k3', reportedKl: 'k2' })).toEqual({
      loss: expect.closeTo(2 * (Math.LN2 - 0.5), 14),
      slope: expect.closeTo(1, 14),
      kl: expect.closeTo(Math.LN2 ** 2 / 2, 14),
    });
  });

  test('is reported where the reference is there and nothing is trained on it', () => {
    expect(at({ beta: 0 })).toEqual({
      loss: expect.closeTo(0, 15),
      slope: expect.closeTo(0, 15),
      kl: expect.anything(),
    });
    const { reference: _, ...alone } = input;
    expect(grpo.evaluate(alone, { beta: 0 }).metrics.kl).toBeUndefined();
    expect(() => grpo.evaluate(alone)).toThrow('`reference.logprobs`');
  });

  test('weighed by the ratio, without and with its gradient', () => {
    const moved = policyRows({ logRatios: [[Math.log(3)]], advantages: [0], referenceLogRatios: [[Math.LN2]] });
    const k = Math.LN2 - 0.5;
    expect(at({ klImportance: 'stopped' }, moved)).toMatchObject({
      loss: expect.closeTo(6 * k, 13),
      slope: expect.closeTo(3, 13),
    });
    expect(at({ klImportance: 'live' }, moved)).toMatchObject({
      loss: expect.closeTo(6 * k, 13),
      slope: expect.closeTo(3 + 6 * k, 13),
    });
  });

  test('counts its clamps', () => {
    const { metrics, cotangents } = grpo.evaluate(input, { klClamp: 0.1 });
    expect(metrics['kl/clamped_fraction']).toEqual({ sum: 1, count: 1 });
    expect(cotangents.logprobs![0]).toBeCloseTo(0, 15);
  });
});

test('quantiles between order statistics', () => {
  const values = Float64Array.of(4, 1, 3, 2);
  expect([0, 0.5, 1, 1 / 6].map((q) => quantile(values, q))).toEqual([1, 2.5, 4, 1.5]);
  expect(quantile(Float64Array.of(), 0.5)).toBe(Number.NEGATIVE_INFINITY);
});
