import { describe, expect, test } from 'vitest';
import { marginThroughTransform, ratioTransform } from '../divergences/index.js';
import { meanMetrics } from '../metrics.js';
import { chiPo } from './chi-po.js';
import { dpo } from './dpo.js';
import { fDpo } from './f-dpo.js';

/** One pair of one-token completions with these logratios. */
function pair(chosen: number, rejected: number) {
  return {
    rows: 2,
    tokens: 1,
    completionMask: Uint8Array.of(1, 1),
    policy: { logprobs: Float64Array.of(chosen - 2, rejected - 2) },
    reference: { logprobs: Float64Array.of(-2, -2) },
  };
}

const ln2 = Math.log(2);

test('huang2024: φ(r) = e^r + r, at u = 2 against u = 1', () => {
  const { loss, details, cotangents } = chiPo.evaluate(pair(ln2, 0), { beta: 1 });
  const z = 1 + ln2;
  expect(details!.logits![0]).toBeCloseTo(z, 14);
  expect(loss).toBeCloseTo(Math.log1p(Math.exp(-z)), 14);
  const pull = 1 / (1 + Math.exp(z));
  // φ'(log 2) = 3, φ'(0) = 2
  expect([...cotangents.logprobs!]).toEqual([expect.closeTo(-3 * pull, 14), expect.closeTo(2 * pull, 14)]);
});

test('with both weights 1 it is f-DPO through half chi-squared plus KL', () => {
  const [ours, theirs] = [
    chiPo.evaluate(pair(0.7, -0.4), { beta: 0.3 }),
    fDpo.evaluate(pair(0.7, -0.4), { beta: 0.3, divergence: 'half-chi2-plus-kl' }),
  ];
  expect(ours.loss).toBeCloseTo(theirs.loss, 15);
});

test('without the chi-squared part it is DPO', () => {
  const [ours, theirs] = [
    chiPo.evaluate(pair(0.7, -0.4), { beta: 0.3, chi2Weight: 0 }),
    dpo.evaluate(pair(0.7, -0.4), { beta: 0.3 }),
  ];
  expect(ours.loss).toBeCloseTo(theirs.loss, 15);
});

test('without the KL part it is no link, and refused', () => {
  expect(() => chiPo.resolveOptions({ klWeight: 0 })).toThrow(/klWeight/);
});

test('the bare loss without the KL part: e^r, clipped, 0 where it is', () => {
  const bare = marginThroughTransform(ratioTransform({ chi2Weight: 2, klWeight: 0 }));
  const { details, cotangents } = bare.evaluate(pair(ln2, 0), { beta: 0.5, clip: 1.5 });
  // beta φ: 2 held to 1.5, and 1
  expect(details!.logits![0]).toBeCloseTo(0.5, 14);
  const pull = 1 / (1 + Math.exp(0.5));
  expect([...cotangents.logprobs!]).toEqual([expect.closeTo(0, 15), expect.closeTo(pull, 14)]);
  const { loss } = bare.evaluate(pair(0.7, -0.4), { beta: 0.3 });
  const margin = 0.6 * (Math.exp(0.7) - Math.exp(-0.4));
  expect(loss).toBeCloseTo(Math.log1p(Math.exp(-margin)), 14);
});

describe('clip', () => {
  const gradient = (clip: number) =>
    [...chiPo.evaluate(pair(2, 0), { beta: 0.5, clip }).cotangents.logprobs!].map((value) => Math.sign(value));

  test('a side outside has no gradient, the other keeps its own', () => {
    // beta φ: 0.5 (e² + 2) = 4.69 and 0.5
    expect(gradient(1)).toEqual([0, 1].map((sign) => expect.closeTo(sign, 15)));
    expect(gradient(0)).toEqual([-1, 1]);
  });

  test('rewards are those of the clipped sides in the loss, unclipped in the log', () => {
    const { details, metrics } = chiPo.evaluate(pair(2, 0), { beta: 0.5, clip: 1 });
    expect(details!.logits![0]).toBeCloseTo(1 - 0.5, 14);
    expect(meanMetrics(metrics)['rewards/chosen']).toBeCloseTo(0.5 * (Math.exp(2) + 2), 12);
  });
});

describe('practical variant', () => {
  test('the ratio to a power, its exponent capped, the logratio with a weight', () => {
    const score = (r: number) =>
      chiPo.evaluate(pair(r, 0), { ratioExponent: 0.5, klWeight: 0.1, exponentCap: 3 }).details!.scores![0];
    expect(score(2)).toBeCloseTo(Math.E + 0.2, 14);
    expect(score(100)).toBeCloseTo(Math.exp(3) + 10, 12);
    expect(score(-1e4)).toBe(-1e3);
  });

  test('above the cap the KL part alone pulls', () => {
    const { logprobs } = chiPo.evaluate(pair(50, 60), { beta: 1, klWeight: 1 }).cotangents;
    expect(logprobs![0]).toBeCloseTo(-1 / (1 + Math.exp(-10)), 12);
  });
});
