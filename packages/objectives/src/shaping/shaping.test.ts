import { describe, expect, test } from 'vitest';
import { adaptiveKlController, fixedKlController } from './controllers.js';
import { sequenceRewards, shapedRewards } from './rewards.js';
import { addChunk, noMoments } from './running-moments.js';
import { overlongPenalty, usedScores } from './scores.js';
import { trailingSlotRewards } from './trailing-slot.js';

const of = (...values: number[]) => Float64Array.from(values);
const near = (...values: number[]) => values.map((value) => expect.closeTo(value, 12));

/** Two rows, one of them empty; junk where masked. */
const completions = {
  rows: 2,
  tokens: 3,
  completionMask: Uint8Array.of(1, 1, 0, 0, 0, 0),
  logprobs: of(-1, -2, Number.NaN, 7, 7, 7),
  referenceLogprobs: of(-2, -1.5, 4, 7, Number.NEGATIVE_INFINITY, 7),
  scores: of(3, 100),
};

describe('ziegler2019 eq 2', () => {
  test('the KL on each token, the score on the last', () => {
    const shaped = shapedRewards(completions, { klCoef: 0.5 });
    expect([...shaped.kl]).toEqual([1, -0.5, 0, 0, 0, 0]);
    expect([...shaped.rewards]).toEqual([-0.5, 3.25, 0, 0, 0, 0]);
    expect(shaped.meanSequenceKl).toBe(0.25);
    expect(shaped.meanNonScoreReward).toBe(-0.125);
  });

  test('another estimator, clamped', () => {
    const shaped = shapedRewards(completions, { klCoef: 1, klEstimator: 'k2', klClamp: 0.25 });
    expect([...shaped.rewards]).toEqual([-0.25, 2.875, 0, 0, 0, 0]);
  });

  test('of the whole sequence, for a baseline to be taken of', () => {
    expect([...sequenceRewards(completions, { klCoef: 0.5 })]).toEqual([2.75, 100]);
  });
});

describe('scores', () => {
  const cut = { scores: of(1, 1), hasEos: Uint8Array.of(1, 0) };

  test('without an end token: less a penalty, or replaced; then clipped, then scaled', () => {
    expect([...usedScores(cut, { missingEos: { mode: 'subtract', penalty: 4 } })]).toEqual([1, -3]);
    expect([...usedScores(cut, { missingEos: { mode: 'replace', penalty: -1 } })]).toEqual([1, -1]);
    const missingEos = { mode: 'subtract', penalty: 4 } as const;
    expect([...usedScores(cut, { missingEos, clip: 2, scale: 2 })]).toEqual([0.5, -1]);
    expect([...usedScores(cut)]).toEqual([1, 1]);
  });

  test('clipped between two bounds', () => {
    expect([...usedScores({ scores: of(-3, 0.5, 3) }, { clip: [-0.4, 1] })]).toEqual([-0.4, 0.5, 1]);
  });

  test('a penalty needs to know who ended', () => {
    expect(() => usedScores({ scores: of(1) }, { missingEos: { mode: 'replace', penalty: 0 } })).toThrow('`hasEos`');
  });

  test('yu2025 eq 13', () => {
    const at = (tokens: number) => overlongPenalty(tokens, { limit: 20, buffer: 4 });
    expect([10, 16, 17, 20, 30].map(at)).toEqual([0, 0, -0.25, -1, -1]);
  });
});

describe('the score one slot behind', () => {
  const padded = {
    rows: 2,
    tokens: 3,
    logprobs: of(-1, -2, -3, -1, 50, 50),
    referenceLogprobs: of(-1, -1, -3, -2, 60, 60),
    scores: of(4, 5),
    lastTokens: of(2, 0),
  };

  test('or on the last column if there is none behind', () => {
    const { rewards, tokenMask, valueMask, meanSequenceKl, meanNegativeLogprob } = trailingSlotRewards(padded, {
      klCoef: 0.5,
    });
    expect([...rewards]).toEqual([0, 0.5, 4, -0.5, 5, 0]);
    expect([...tokenMask]).toEqual([1, 1, 1, 1, 0, 0]);
    expect([...valueMask]).toEqual([1, 1, 1, 1, 1, 0]);
    expect(meanSequenceKl).toBe(0);
    expect(meanNegativeLogprob).toBe((6 + 1 - 2) / 2);
  });
});

describe('controllers', () => {
  test('adaptive: proportional, clipped at 20 % of a horizon', () => {
    const start = adaptiveKlController({ klCoef: 1, target: 4, horizon: 100 });
    expect(start.update(4.4, 10).klCoef).toBeCloseTo(1.01, 12);
    expect(start.update(40, 10).klCoef).toBeCloseTo(1.02, 12);
    expect(start.update(0, 10).klCoef).toBeCloseTo(0.98, 12);
    expect(start.update(4, 10).update(40, 50).klCoef).toBeCloseTo(1.1, 12);
    expect(start.klCoef).toBe(1);
  });

  test('fixed', () => {
    expect(fixedKlController(0.05).update(100, 100).klCoef).toBe(0.05);
  });
});

describe('running moments', () => {
  test('chunk by chunk = all at once', () => {
    const chunks = [of(1, 2), of(5), of(), of(-3, 0.5, 4)];
    const { mean, variance, deviation, count } = chunks.reduce(addChunk, noMoments);
    expect([mean, variance, count]).toEqual(near(9.5 / 6, 55.25 / 6 - (9.5 / 6) ** 2, 6));
    expect(deviation).toBeCloseTo(Math.sqrt((variance * 6) / 5), 12);
  });

  test('a single number has no deviation', () => {
    expect(addChunk(noMoments, of(3))).toEqual({ mean: 3, variance: expect.closeTo(0, 12), deviation: 0, count: 1 });
  });
});
