import { describe, expect, test } from 'vitest';
import { ontoSequences, predictionsOf, pullToLogits, scoresOfLogits, type TokenLogits } from './categorical.js';
import type { ScoreName } from './input.js';
import { seeded } from './testing/index.js';

const names: readonly ScoreName[] = [
  ...(['logprobs', 'entropy', 'logSumSquares', 'forwardKl', 'reverseKl', 'js', 'pearsonChi2'] as const),
  ...(['halfChi2PlusKl', 'neymanChi2', 'squaredHellinger', 'totalVariation', 'alpha(0.3)'] as const),
  ...(['jsd(0.2)', 'skewForwardKl(0.1)', 'skewReverseKl(0.6)'] as const),
];
const [rows, tokens, vocabulary] = [2, 3, 5];

function randomLogits(seed: number, temperature = 1): TokenLogits & { readonly ids: Float64Array } {
  const random = seeded(seed);
  const draw = () => Float64Array.from({ length: rows * tokens * vocabulary }, () => 4 * random() - 2);
  return {
    rows,
    tokens,
    vocabulary,
    completionMask: Uint8Array.of(1, 1, 1, 1, 1, 0),
    logits: draw(),
    referenceLogits: draw(),
    ids: Float64Array.from({ length: rows * tokens }, () => Math.floor(vocabulary * random())),
    temperature,
  };
}

const dot = (a: Float64Array, b: Float64Array) => a.reduce((sum, value, at) => sum + value * b[at]!, 0);

test.each(names)('the gradient of %s at the logits is its difference', (name) => {
  const input = randomLogits(7, 0.7);
  const cotangents = { [name]: Float64Array.of(0.3, -1, 2, 0.5, -0.7, 9) };
  const loss = (logits: Float64Array) => dot(scoresOfLogits({ ...input, logits }, [name])[name]!, cotangents[name]!);
  const step = 1e-5;
  pullToLogits(input, cotangents).forEach((slope, at) => {
    const moved = (by: number) => loss(input.logits.map((value, i) => (i === at ? value + by : value)));
    expect(slope).toBeCloseTo((moved(step) - moved(-step)) / (2 * step), 6);
  });
});

test('by hand: two tokens, 3 to 1', () => {
  const logits = Float64Array.of(Math.log(3), 0);
  const input = { rows: 1, tokens: 1, vocabulary: 2, completionMask: Uint8Array.of(1), logits, ids: [0] };
  const scores = scoresOfLogits({ ...input, referenceLogits: Float64Array.of(0, 0) }, [
    'logprobs',
    'entropy',
    'logSumSquares',
    'forwardKl',
  ]);
  expect(scores.logprobs![0]).toBeCloseTo(Math.log(0.75), 15);
  expect(scores.entropy![0]).toBeCloseTo(-0.75 * Math.log(0.75) - 0.25 * Math.log(0.25), 15);
  expect(scores.logSumSquares![0]).toBeCloseTo(Math.log(0.625), 15);
  expect(scores.forwardKl![0]).toBeCloseTo(-0.5 * Math.log(0.75) - 0.5 * Math.log(0.25) - Math.LN2, 15);
  expect([...pullToLogits(input, { logprobs: Float64Array.of(2) })]).toEqual([
    expect.closeTo(0.5, 15),
    expect.closeTo(-0.5, 15),
  ]);
});

describe('edges', () => {
  test('masked places are 0 and have no gradient, whatever stands there', () => {
    const input = randomLogits(3);
    const junk = (values: Float64Array) => values.map((value, at) => (at < 5 * vocabulary ? value : Number.NaN));
    const spoilt = { ...input, logits: junk(input.logits), referenceLogits: junk(input.referenceLogits!) };
    expect(scoresOfLogits(spoilt, names)).toEqual(scoresOfLogits(input, names));
    const cotangents = { logprobs: Float64Array.of(1, 1, 1, 1, 1, Number.NaN) };
    expect(pullToLogits(spoilt, cotangents)).toEqual(pullToLogits(input, cotangents));
  });

  test('a token that cannot come adds nothing to the entropy and has gradient 0', () => {
    const input = {
      rows: 1,
      tokens: 1,
      vocabulary: 3,
      completionMask: Uint8Array.of(1),
      logits: Float64Array.of(0, 0, Number.NEGATIVE_INFINITY),
      ids: [1],
    };
    const all = ['logprobs', 'entropy', 'logSumSquares'] as const;
    const scores = scoresOfLogits(input, all);
    expect(scores.entropy![0]).toBeCloseTo(Math.LN2, 15);
    expect(scores.logprobs![0]).toBeCloseTo(-Math.LN2, 15);
    for (const name of all) {
      const gradient = pullToLogits(input, { [name]: Float64Array.of(1) });
      expect(gradient.every(Number.isFinite)).toBe(true);
      expect(gradient[2]! === 0).toBe(true);
    }
  });

  test('huge logits lose no digits', () => {
    const logits = Float64Array.of(1e9, 1e9 - 1);
    const input = { rows: 1, tokens: 1, vocabulary: 2, completionMask: Uint8Array.of(1), logits, ids: [1] };
    expect(scoresOfLogits(input, ['logprobs']).logprobs![0]).toBeCloseTo(-1 - Math.log1p(Math.exp(-1)), 14);
  });
});

describe('whole sequences', () => {
  test('logits predict the token behind them', () => {
    const { logits, ids, completionMask } = randomLogits(11);
    const sequences = { rows, tokens, vocabulary, completionMask, logits, ids };
    const predictions = predictionsOf(sequences);
    expect(predictions.tokens).toBe(2);
    expect([...predictions.completionMask]).toEqual([1, 1, 1, 0]);
    const { logprobs } = scoresOfLogits(predictions, ['logprobs']);
    const here = scoresOfLogits({ ...sequences, ids: [ids[1]!, 0, 0, ids[4]!, 0, 0] }, ['logprobs']).logprobs!;
    expect([logprobs![0], logprobs![2]]).toEqual([here[0], here[3]]);
    const gradient = pullToLogits(predictions, { logprobs: Float64Array.of(1, 1, 1, 1) });
    const spread = ontoSequences(gradient, sequences);
    expect(spread.subarray(0, vocabulary)).toEqual(gradient.subarray(0, vocabulary));
    expect(spread.subarray(2 * vocabulary, 3 * vocabulary).every((value) => value === 0)).toBe(true);
    expect(spread.subarray(3 * vocabulary, 4 * vocabulary)).toEqual(gradient.subarray(2 * vocabulary, 3 * vocabulary));
  });
});

describe('what does not fit is named', () => {
  const input = randomLogits(1);
  test.each([
    [{ logits: new Float64Array(3) }, '`logits`: expected 30 numbers, [rows, tokens, vocabulary], got 3 numbers'],
    [{ ids: [1] }, '`ids`: expected 6 numbers'],
    [{ referenceLogits: new Float64Array(1) }, '`referenceLogits`: expected 30 numbers'],
    [{ temperature: 0 }, '`temperature`: expected a number above 0, got 0'],
  ])('%o', (changed, message) => {
    expect(() => scoresOfLogits({ ...input, ...changed }, ['logprobs', 'js'])).toThrow(message);
  });

  test('a score that logits do not give', () => {
    expect(() => scoresOfLogits(input, ['values'])).toThrow('`values`: expected a score of logits');
  });
});
