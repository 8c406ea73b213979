import { describe, expect, test } from 'vitest';
import { meanMetrics } from '../metrics.js';
import { simpo } from './simpo.js';

/** A pair of average log-probabilities, chosen over two tokens. */
function pair(chosen: number, rejected: number) {
  return {
    rows: 2,
    tokens: 2,
    completionMask: Uint8Array.of(1, 1, 1, 0),
    policy: { logprobs: Float64Array.of(chosen - 0.25, chosen + 0.25, rejected, Number.NaN) },
  };
}

describe('meng2024 eq 6', () => {
  test('-log σ(β gap - γ)', () => {
    const options = { beta: 2, gammaBetaRatio: 0.5 };
    expect(simpo.evaluate(pair(-1, -1.5), options).loss).toBe(Math.LN2);
    // z = 2 (gap - 0.5) = log 3
    expect(simpo.evaluate(pair(-1, -1.5 - Math.log(3) / 2), options).loss).toBeCloseTo(-Math.log(0.75), 14);
  });

  test('gradient: β σ(-z), shared by the tokens of a row', () => {
    const { logprobs } = simpo.evaluate(pair(-1, -1.25)).cotangents;
    expect([...logprobs!]).toEqual([-0.5, -0.5, 1, 0]);
  });

  test("hinge: max(0, 1 - z), as in the authors' code", () => {
    expect(simpo.evaluate(pair(-1, -1), { loss: 'hinge' }).loss).toBe(1.5);
    const { loss, cotangents } = simpo.evaluate(pair(-1, -2), { loss: 'hinge' });
    expect(loss + cotangents.logprobs!.reduce((a, b) => a + Math.abs(b))).toBe(0);
  });

  test('label smoothing: no gradient where σ(z) = 1 - ε', () => {
    const options = { beta: 1, gammaBetaRatio: 0, labelSmoothing: 0.25 };
    const { logprobs } = simpo.evaluate(pair(-1, -1 - Math.log(3)), options).cotangents;
    expect(logprobs![0]).toBeCloseTo(0, 15);
  });
});

test('an empty completion scores 0', () => {
  const input = { ...pair(-1, -3), completionMask: Uint8Array.of(1, 1, 0, 0) };
  const { details, cotangents } = simpo.evaluate(input);
  expect([...details!.averageLogprobs!]).toEqual([-1, 0]);
  expect([...cotangents.logprobs!.slice(2)]).toEqual([0, 0]);
});

test('logs averages, and their multiples as rewards', () => {
  expect(meanMetrics(simpo.evaluate(pair(-1, -1.5)).metrics)).toMatchObject({
    'logps/chosen': -1,
    'logps/rejected': -1.5,
    'rewards/chosen': -2,
    'rewards/rejected': -3,
    'rewards/margins': 1,
    'rewards/accuracies': 1,
  });
});

test('the likelihood of chosen comes on top, its parts logged', () => {
  const { loss, metrics } = simpo.evaluate(pair(-1, -1.25), { nllWeight: 0.5 });
  expect(loss).toBeCloseTo(Math.LN2 + 0.5, 15);
  expect(meanMetrics(metrics)).toMatchObject({ preference_loss: Math.LN2, nll_loss: 1 });
});
