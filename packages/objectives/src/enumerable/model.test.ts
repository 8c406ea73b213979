import { describe, expect, test } from 'vitest';
import { type ScoreName, scoreFamilies, scoreNames } from '../input.js';
import { seeded } from '../testing/random.js';
import {
  enumerateSequences,
  expectation,
  givesScore,
  logSumExp,
  normal,
  normalized,
  pullback,
  randomPolicy,
  scoresOf,
  sequenceEntropy,
  sequenceLogprobs,
  standardized,
  tableOf,
  tokenLogprobs,
  uniformPolicy,
} from './index.js';

describe('the list of completions', () => {
  test('an end token, or full length', () => {
    const { sequences, prefixes, tokens, lengths, completionMask } = enumerateSequences({ vocabulary: 3, length: 2 });
    expect({ sequences, prefixes }).toEqual({ sequences: 7, prefixes: 3 });
    expect([...lengths]).toEqual([1, 2, 2, 2, 2, 2, 2]);
    expect([...tokens]).toEqual([0, 0, 1, 0, 1, 1, 1, 2, 2, 0, 2, 1, 2, 2]);
    expect([...completionMask.slice(0, 4)]).toEqual([1, 0, 1, 1]);
  });

  test('all of one length', () => {
    const space = enumerateSequences({ vocabulary: 8, length: 4, variableLength: false });
    expect(space.sequences).toBe(4096);
    expect(space.prefixes).toBe(1 + 8 + 64 + 512);
  });

  test('a list that is too long is refused', () => {
    expect(() => enumerateSequences({ vocabulary: 50, length: 6 })).toThrow('more than 2000000');
    expect(() => enumerateSequences({ vocabulary: 1 })).toThrow('`vocabulary`: expected a whole number from 2, got 1');
  });
});

describe('a table policy', () => {
  const space = enumerateSequences({ vocabulary: 4, length: 3 });
  const policy = randomPolicy(space, seeded(3));

  test('its completions sum to 1', () => {
    expect(logSumExp(sequenceLogprobs(policy))).toBeCloseTo(0, 14);
  });

  test('any distribution over completions is one table', () => {
    const random = seeded(5);
    const wanted = normalized(Float64Array.from({ length: space.sequences }, () => 3 * normal(random)));
    sequenceLogprobs(tableOf(space, wanted)).forEach((logprob, i) => {
      expect(logprob).toBeCloseTo(wanted[i]!, 12);
    });
  });

  test('mass on one completion, none elsewhere', () => {
    const one = Float64Array.from({ length: space.sequences }, (_, i) => (i === 5 ? 0 : Number.NEGATIVE_INFINITY));
    expect([...sequenceLogprobs(tableOf(space, one))].map(Math.exp)).toEqual([...one].map(Math.exp));
  });

  test('entropy of the uniform table, by hand: two tokens, two choices', () => {
    const flat = enumerateSequences({ vocabulary: 2, length: 2, variableLength: false });
    expect(sequenceEntropy(sequenceLogprobs(uniformPolicy(flat)))).toBeCloseTo(2 * Math.LN2, 14);
  });

  test('standardised values have mean 0 and deviation 1', () => {
    const logprobs = sequenceLogprobs(policy);
    const values = standardized(logprobs.map(Math.sin), logprobs);
    expect(expectation(logprobs, values)).toBeCloseTo(0, 13);
    expect(
      expectation(
        logprobs,
        values.map((x) => x * x),
      ),
    ).toBeCloseTo(1, 13);
  });
});

describe('scores and their pullback', () => {
  const space = enumerateSequences({ vocabulary: 4, length: 2 });
  const policy = randomPolicy(space, seeded(1));
  const reference = randomPolicy(space, seeded(2));
  const rows = Int32Array.of(0, 3, 7, 9, 9);
  const names = [
    ...scoreNames.filter((name) => name !== 'values'),
    ...scoreFamilies.map((family) => `${family}(0.3)` as ScoreName),
  ];

  test('every score there is', () => {
    for (const name of names) expect([name, givesScore(name)]).toEqual([name, true]);
    expect(givesScore('nonsense' as ScoreName)).toBe(false);
  });

  test.each(names)('%s: gradient at the logits = central difference', (name) => {
    const random = seeded(4);
    const weights = Float64Array.from({ length: rows.length * space.length }, () => normal(random));
    const value = (logits: Float64Array) => {
      const scores = scoresOf({ space, logits }, rows, [name], reference)[name]!;
      return scores.reduce((sum, score, at) => sum + weights[at]! * score, 0);
    };
    const gradient = pullback(policy, rows, { [name]: weights }, reference).logits;
    gradient.forEach((slope, at) => {
      const moved = (step: number) => value(policy.logits.map((x, i) => (i === at ? x + step : x)));
      const difference = (moved(1e-5) - moved(-1e-5)) / 2e-5;
      expect(Math.abs(slope - difference)).toBeLessThan(1e-8 * Math.max(1, Math.abs(slope)));
    });
  });

  test('values come from their own table, and go back to it', () => {
    const values = Float64Array.from({ length: space.prefixes }, (_, prefix) => prefix + 0.5);
    const scores = scoresOf({ ...policy, values }, rows, ['values']).values!;
    expect(scores[0]).toBe(0.5);
    const cotangents = new Float64Array(scores.length).fill(1);
    const back = pullback({ ...policy, values }, rows, { values: cotangents }).values;
    expect(back[0]).toBe(rows.length);
  });

  test('masked entries are 0, and give nothing back', () => {
    const logprobs = scoresOf(policy, [0], ['logprobs']).logprobs!;
    expect(logprobs[1]).toBe(0);
    expect(tokenLogprobs(policy)[0]).toBe(logprobs[0]);
    expect(pullback(policy, [0], { logprobs: Float64Array.of(0, Number.NaN) }).logits.every((x) => x === 0)).toBe(true);
  });
});
