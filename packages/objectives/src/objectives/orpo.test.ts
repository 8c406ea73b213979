import { describe, expect, test } from 'vitest';
import { meanMetrics } from '../metrics.js';
import { logOdds } from '../numerics.js';
import { orpo } from './orpo.js';

const pair = (chosen: number, rejected: number) => ({
  rows: 2,
  tokens: 1,
  completionMask: Uint8Array.of(1, 1),
  policy: { logprobs: Float64Array.of(chosen, rejected) },
});

describe('hong2024 eq 6', () => {
  test('-λ log σ of the log of the odds ratio, and the likelihood of chosen', () => {
    // odds of 3/4 and of 1/2: 3 and 1
    const input = pair(Math.log(0.75), Math.log(0.5));
    const { loss, metrics } = orpo.evaluate(input, { beta: 2 });
    expect(loss).toBeCloseTo(-Math.log(0.75) - 2 * Math.log(0.75), 14);
    expect(meanMetrics(metrics)).toMatchObject({
      log_odds_chosen: expect.closeTo(Math.log(3), 14),
      log_odds_ratio: expect.closeTo(Math.log(0.75), 14),
      nll_loss: expect.closeTo(-Math.log(0.75), 14),
    });
  });

  test('gradient: λ σ(-o)/(1 - p)', () => {
    const { logprobs } = orpo.evaluate(pair(Math.log(0.75), Math.log(0.5)), { beta: 1, nllWeight: 0 }).cotangents;
    expect([...logprobs!]).toEqual([expect.closeTo(-1, 14), expect.closeTo(0.5, 14)]);
  });
});

describe('completions that are next to certain', () => {
  test('keep their digits: log(1 - e^A) of A = -1e-12 is log 1e-12', () => {
    expect(logOdds(-1e-12).value).toBeCloseTo(12 * Math.LN10, 11);
    expect(logOdds(-1e-12).slope * 1e-12).toBeCloseTo(1, 11);
  });

  test('a log-probability rounded to 0 gives finite odds', () => {
    expect(logOdds(0)).toEqual({ value: expect.closeTo(53 * Math.LN2, 12), slope: 2 ** 53 });
    expect(orpo.evaluate(pair(0, -1)).cotangents.logprobs![0]).toBeCloseTo(-1 - 0.1 / (Math.E - 1), 12);
  });

  test('an empty completion has no odds', () => {
    const input = { ...pair(-1, -2), completionMask: Uint8Array.of(1, 0) };
    const { details, cotangents } = orpo.evaluate(input);
    expect(details!.margins![0]).toBeCloseTo(logOdds(-1).value, 15);
    expect(cotangents.logprobs![1]).toBe(0);
  });
});

describe('the likelihood over prompt and completion, as TRL takes it', () => {
  /** Two tokens of prompt before the chosen completion, none before the rejected one. */
  const input = {
    rows: 2,
    tokens: 3,
    completionMask: Uint8Array.of(1, 1, 1, 1, 0, 0),
    policy: { logprobs: Float64Array.of(-5, -4, -1, -2, 0, 0) },
    perToken: { promptTokens: Float64Array.of(1, 1, 0, 0, 0, 0) },
  };

  test('reads the prompt for the likelihood alone', () => {
    const { loss, metrics, cotangents } = orpo.evaluate(input, { nllOver: 'sequence' });
    const plain = orpo.evaluate(pair(-1, -2), { nllWeight: 0 });
    expect(loss).toBeCloseTo(plain.loss + 10 / 3, 14);
    expect(meanMetrics(metrics)).toMatchObject({ 'logps/chosen': -1, nll_loss: expect.closeTo(10 / 3, 14) });
    expect([...cotangents.logprobs!.slice(0, 2)]).toEqual([-1 / 3, -1 / 3]);
    expect(cotangents.logprobs![2]).toBeCloseTo(plain.cotangents.logprobs![0]! - 1 / 3, 14);
  });

  test('asks for where the prompt is', () => {
    const { perToken: _, ...bare } = input;
    expect(() => orpo.evaluate(bare, { nllOver: 'sequence' })).toThrow(/perToken.promptTokens/);
  });
});
