import { describe, expect, test } from 'vitest';
import { rewardModel } from './reward-model.js';

const of = (...values: number[]) => Float64Array.from(values);

/** Pairs of one-token rows. */
const rows = (rewards: number[], perRow: { margins?: number[]; ranks?: number[] } = {}) => ({
  rows: rewards.length,
  tokens: 1,
  completionMask: new Uint8Array(rewards.length).fill(1),
  policy: { values: of(...rewards) },
  perRow: {
    ...(perRow.margins && { margins: of(...perRow.margins) }),
    ...(perRow.ranks && { ranks: Int32Array.from(perRow.ranks) }),
  },
});

test('ouyang2022 eq 1', () => {
  const { loss, cotangents, metrics } = rewardModel.evaluate(rows([2, 1, 0, 0.5]));
  expect(loss).toBeCloseTo((Math.log1p(Math.exp(-1)) + Math.log1p(Math.exp(0.5))) / 2, 12);
  const slope = 1 / (1 + Math.exp(1)) / 2;
  expect(cotangents.values![0]).toBeCloseTo(-slope, 12);
  expect(cotangents.values![1]).toBeCloseTo(slope, 12);
  expect(metrics['rewards/accuracies']).toEqual({ sum: 1, count: 2 });
});

test('touvron2023 eq 2: the margin is taken off inside the sigmoid', () => {
  const { loss } = rewardModel.evaluate(rows([2, 1], { margins: [0.3, 0.3] }), { useMargin: true });
  expect(loss).toBeCloseTo(Math.log1p(Math.exp(-0.7)), 12);
});

test('eisenstein2023: centring', () => {
  const { loss, cotangents } = rewardModel.evaluate(rows([2, 1]), { centerCoefficient: 0.1 });
  expect(loss).toBeCloseTo(Math.log1p(Math.exp(-1)) + 0.9, 12);
  expect(cotangents.values![0]! + cotangents.values![1]!).toBeCloseTo(2 * 2 * 0.1 * 3, 12);
});

test('the reward is the value at the last token', () => {
  const input = {
    rows: 2,
    tokens: 3,
    completionMask: Uint8Array.of(1, 1, 0, 1, 0, 0),
    policy: { values: of(9, 2, 7, 1, 8, 8) },
  };
  const { cotangents, details } = rewardModel.evaluate(input);
  expect(details?.rewards).toEqual(of(2, 1));
  expect([...cotangents.values!].map((value) => value !== 0)).toEqual([false, true, false, true, false, false]);
});

describe('ties', () => {
  const tie = { ranks: [0, 0] };
  const win = { ranks: [0, 1] };
  const at = (rewards: number[], perRow: object, ties: 'half' | 'rao-kupper' | 'davidson', tieProbability = 0.4) =>
    rewardModel.evaluate(rows(rewards, perRow), { ties, tieProbability }).loss;

  test.each(['rao-kupper', 'davidson'] as const)(
    '%s: win, tie and loss are all there is; equals tie with p',
    (ties) => {
      const outcomes = [at([1.3, 0], win, ties), at([0, 1.3], win, ties), at([1.3, 0], tie, ties)];
      expect(outcomes.reduce((sum, loss) => sum + Math.exp(-loss), 0)).toBeCloseTo(1, 12);
      expect(Math.exp(-at([0.7, 0.7], tie, ties))).toBeCloseTo(0.4, 12);
    },
  );

  test('half a win to each: log 2 between equals, and no accuracy', () => {
    const { loss, metrics } = rewardModel.evaluate(rows([1, 1], tie), { ties: 'half' });
    expect(loss).toBeCloseTo(Math.log(2), 12);
    expect(metrics['rewards/accuracies']).toEqual({ sum: 0, count: 0 });
  });
});

test('at rest where the rewards are those that made the preferences', () => {
  const truth = [0.8, -0.3, 0.1];
  // Every ordered pair, as often as it is preferred so.
  const pairs = [0, 1, 2].flatMap((i) => [0, 1, 2].filter((j) => j !== i).map((j) => [i, j] as const));
  const gradient = [0, 0, 0];
  for (const [i, j] of pairs) {
    const often = 1 / (1 + Math.exp(truth[j]! - truth[i]!));
    const { cotangents } = rewardModel.evaluate(rows([truth[i]! + 5, truth[j]! + 5]));
    gradient[i]! += often * cotangents.values![0]!;
    gradient[j]! += often * cotangents.values![1]!;
  }
  expect(gradient).toEqual([expect.closeTo(0, 12), expect.closeTo(0, 12), expect.closeTo(0, 12)]);
});

test('options out of range are refused', () => {
  expect(() => rewardModel.resolveOptions({ centerCoefficient: -1 })).toThrow('`centerCoefficient`');
  expect(() => rewardModel.resolveOptions({ tieProbability: 1 })).toThrow('`tieProbability`');
});
