import { describe, expect, test } from 'vitest';
import { certify } from '../certify/index.js';
import { meanMetrics } from '../metrics.js';
import { nashMd } from './nash-md.js';

function row(preference: number) {
  return {
    rows: 1,
    tokens: 3,
    completionMask: Uint8Array.of(1, 1, 0),
    policy: { logprobs: Float64Array.of(-1, -2, Number.NaN) },
    reference: { logprobs: Float64Array.of(-1.3, -1.9, Number.NEGATIVE_INFINITY) },
    perRow: { rewards: Float64Array.of(preference) },
  };
}

describe('munos2023', () => {
  test('the log-ratio of the whole completion is charged to each token', () => {
    const { loss, cotangents, metrics } = nashMd.evaluate(row(0.8), { beta: 0.5 });
    expect(meanMetrics(metrics)).toMatchObject({ preference: 0.8 });
    expect(meanMetrics(metrics).kl).toBeCloseTo(0.2, 14);
    expect(cotangents.logprobs![0]).toBeCloseTo(0.5 * 0.2 - 0.3, 14);
    expect(cotangents.logprobs![1]).toBeCloseTo(0.5 * 0.2 - 0.3, 14);
    expect(cotangents.logprobs![2]).toBe(0);
    expect(loss).toBeCloseTo(-3 * (0.5 * 0.2 - 0.3), 14);
  });

  test("TRL's: each token its own", () => {
    const { loss, cotangents } = nashMd.evaluate(row(0.8), { beta: 0.5, klCredit: 'token' });
    expect(cotangents.logprobs![0]).toBeCloseTo(0.5 * 0.3 - 0.3, 14);
    expect(cotangents.logprobs![1]).toBeCloseTo(0.5 * -0.1 - 0.3, 14);
    expect(loss).toBeCloseTo(-1 * (0.15 - 0.3) - 2 * (-0.05 - 0.3), 14);
  });

  test('a completion that was not judged only pulls to the reference', () => {
    const { cotangents, metrics } = nashMd.evaluate(row(Number.NaN), { beta: 0.5 });
    expect(cotangents.logprobs![0]).toBeCloseTo(0.1, 14);
    expect(metrics.preference).toEqual({ sum: 0, count: 0 });
  });

  test('charged by the sequence it descends the KL, less the preference', () => {
    const estimator = certify(nashMd).checks.find(({ name }) => name === 'estimator')!;
    expect(estimator, estimator.text).toMatchObject({ passed: true, bound: 1e-9 });
  });

  test('wrong options are refused', () => {
    expect(() => nashMd.evaluate(row(0.5), { beta: 0 })).toThrow(/`beta`/);
  });
});
