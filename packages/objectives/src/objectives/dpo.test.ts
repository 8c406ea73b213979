import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { meanMetrics, mergeMetrics } from '../metrics.js';
import { type GoldenCase, type GoldenFile, goldenError, goldenPairs, interleaved } from '../testing/index.js';
import { dpo } from './dpo.js';

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

describe('rafailov2023 eq 7', () => {
  test('log 2 where the policy is the reference, whatever beta and label smoothing', () => {
    expect(dpo.evaluate(pair(0, 0)).loss).toBe(Math.LN2);
    expect(dpo.evaluate(pair(0, 0), { beta: 3, labelSmoothing: 0.2 }).loss).toBeCloseTo(Math.LN2, 15);
  });

  test('-log σ(m) at margins whose σ is a fraction', () => {
    // m = beta (Δchosen - Δrejected) = log 3, σ = 3/4;  m = -log 3, σ = 1/4
    expect(dpo.evaluate(pair(Math.log(3), 0), { beta: 1 }).loss).toBeCloseTo(-Math.log(0.75), 14);
    expect(dpo.evaluate(pair(0, 2 * Math.log(3)), { beta: 0.5 }).loss).toBeCloseTo(-Math.log(0.25), 14);
  });

  test('gradient: beta σ(-m), down on chosen, up on rejected', () => {
    const { logprobs } = dpo.evaluate(pair(Math.log(3), 0), { beta: 1 }).cotangents;
    expect([...logprobs!]).toEqual([expect.closeTo(-0.25, 14), expect.closeTo(0.25, 14)]);
  });

  test('sums over tokens, does not average', () => {
    const long = {
      rows: 2,
      tokens: 2,
      completionMask: Uint8Array.of(1, 1, 1, 0),
      policy: { logprobs: Float64Array.of(-1, -1, -1, 0) },
      reference: { logprobs: Float64Array.of(-2, -2, -1, 0) },
    };
    expect(dpo.evaluate(long, { beta: 1 }).loss).toBeCloseTo(Math.log1p(Math.exp(-2)), 14);
  });
});

describe('cDPO', () => {
  test('gradient is beta (σ(m) - (1 - ε)): 0 where σ(m) = 1 - ε', () => {
    const at = (margin: number) =>
      dpo.evaluate(pair(margin, 0), { beta: 1, labelSmoothing: 0.25 }).cotangents.logprobs![0]!;
    expect(at(Math.log(3))).toBeCloseTo(0, 15);
    expect(at(0)).toBeCloseTo(-0.25, 15);
    expect(at(100)).toBeCloseTo(0.25, 15);
  });

  test('half of the pairs wrong says nothing, and is refused', () => {
    expect(() => dpo.resolveOptions({ labelSmoothing: 0.5 })).toThrowErrorMatchingInlineSnapshot(
      `[ObjectiveError: objective \`dpo\`, option \`labelSmoothing\`: expected number [0, 0.5), got 0.5. The default is 0.]`,
    );
  });
});

describe('metrics', () => {
  test('rewards, accuracies and log-probabilities, keys as TRL has them', () => {
    const { metrics } = dpo.evaluate(pair(1, -1), { beta: 0.5 });
    expect(meanMetrics(metrics)).toEqual({
      'rewards/chosen': 0.5,
      'rewards/rejected': -0.5,
      'rewards/margins': 1,
      'rewards/accuracies': 1,
      'logps/chosen': -1,
      'logps/rejected': -3,
    });
  });

  test('a tie is not a right answer', () => {
    expect(dpo.evaluate(pair(0.3, 0.3)).metrics['rewards/accuracies']).toEqual({ sum: 0, count: 1 });
  });

  test('entropy is a mean over scored tokens, also across micro-batches', () => {
    const short = { ...pair(0, 0), policy: { ...pair(0, 0).policy, entropy: Float64Array.of(1, 2) } };
    const half = { ...short, completionMask: Uint8Array.of(1, 0) };
    const merged = mergeMetrics([dpo.evaluate(short).metrics, dpo.evaluate(half).metrics]);
    expect(merged.entropy).toEqual({ sum: 4, count: 3 });
  });
});

test('a mistyped option names the nearest ones', () => {
  expect(() => dpo.resolveOptions({ labelSmooting: 0.1 } as object)).toThrowErrorMatchingInlineSnapshot(
    `[ObjectiveError: objective \`dpo\`, option \`labelSmooting\`: expected the name of an option, got \`labelSmooting\`. Did you mean \`labelSmoothing\`?]`,
  );
});

/** Peer numbers: PyTorch autograd of the losses of eric-mitchell/direct-preference-optimization f8b8c0f and TRL. */
describe('golden values', () => {
  const file = new URL('../../../../test/golden/objectives/dpo_pairwise.json', import.meta.url);
  const { batches, cases } = JSON.parse(readFileSync(file, 'utf8')) as GoldenFile;
  const own = cases.filter(({ variant, params }) => variant === 'sigmoid' && !params.reference_free);
  const withNll = cases.filter(
    ({ variant, params }) => variant === 'mix' && Object.keys(params.weights as object).join() === 'sigmoid,nll',
  );

  test.each([...own, ...withNll])('$id', ({ batch, params, expected, grads }) => {
    const tensors = batches[batch]!;
    const { loss, metrics, cotangents } = dpo.evaluate(goldenPairs(tensors), optionsOf(params));
    expect(goldenError([loss], [expected.loss])).toBeLessThanOrEqual(1);
    const gradient = interleaved(grads.chosen_logps!, grads.rejected_logps!);
    expect(goldenError(cotangents.logprobs!, gradient)).toBeLessThanOrEqual(1);
    if (typeof expected.accuracy === 'number') {
      expect(goldenError([meanMetrics(metrics)['rewards/accuracies']!], [expected.accuracy])).toBeLessThanOrEqual(1);
    }
  });
});

const reductions = { token_mean: 'tokens', sequence_mean: 'rows', sequence_sum: 'sums' } as const;

/** A golden case's parameters as options. `tau` is carried by some cases whose variant does not use it. */
function optionsOf({ beta, label_smoothing, nll_reduction, weights, tau: _tau, ...unknown }: GoldenCase['params']) {
  if (Object.keys(unknown).length > 0) throw new Error(`Unknown parameters: ${Object.keys(unknown).join(', ')}.`);
  const { sigmoid = 1, nll = 0, ...others } = (weights ?? {}) as Record<string, number>;
  if (sigmoid !== 1 || Object.keys(others).length > 0) throw new Error('Only `sigmoid: 1` and `nll` can be mixed.');
  return {
    beta: beta as number,
    labelSmoothing: (label_smoothing ?? 0) as number,
    nllWeight: nll,
    ...(nll_reduction !== undefined && { nllReduction: reductions[nll_reduction as keyof typeof reductions] }),
  };
}
