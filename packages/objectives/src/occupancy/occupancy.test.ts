import { describe, expect, test } from 'vitest';
import { forwardKl, pearsonChi2, reverseKl } from '../divergences/index.js';
import {
  enumerableWorld,
  gridOf,
  pullback,
  randomPolicy,
  scoresOf,
  sequenceLogprobs,
  type TablePolicy,
  tableOf,
  tokenLogprobs,
} from '../enumerable/index.js';
import { objectives } from '../index.js';
import { seeded } from '../testing/random.js';
import { expectedGradient } from './divergences.js';
import {
  exactOccupancy,
  expectedPathwise,
  importanceTerm,
  occupancyDivergences,
  occupancyRewards,
  pathwisePenalty,
  pathwiseTerms,
  tableOccupancy,
} from './index.js';

const seeds = [1, 2, 3, 4, 5];

function problem(seed: number) {
  const { space, referencePolicy } = enumerableWorld({ seed, vocabulary: 3, length: 3, spread: 0.7 });
  const policy = randomPolicy(space, seeded(seed + 100), 0.7);
  return { space, policy, reference: referencePolicy };
}

/** The largest difference, in units of the largest number expected. */
function errorOf(actual: Float64Array, expected: Float64Array): number {
  const size = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  return actual.reduce((most, value, i) => Math.max(most, Math.abs(value - expected[i]!)), 0) / size;
}

/**
 * An objective on a step in which every completion stands once, said to be drawn from a policy that likes all equally: a
 * mean over its rows is an expectation over samples of that policy.
 */
function onEveryCompletion(name: string, options: object, policy: TablePolicy, reference: TablePolicy) {
  const { space } = policy;
  const rows = Int32Array.from({ length: space.sequences }, (_, i) => i);
  const old = Float64Array.from(
    space.completionMask,
    (_, at) => -Math.log(space.sequences) / space.lengths[Math.floor(at / space.length)]!,
  );
  const evaluation = objectives[name]!.evaluate(
    {
      ...gridOf(space, rows),
      policy: scoresOf(policy, rows, ['logprobs']),
      reference: scoresOf(reference, rows, ['logprobs']),
      old: { logprobs: old },
    },
    options,
  );
  return { loss: evaluation.loss, gradient: pullback(policy, rows, evaluation.cotangents).logits };
}

describe('exact divergences of sequence occupancies', () => {
  test.each(occupancyDivergences)('the gradient of %s is that of differences', (divergence) => {
    const { policy, reference } = problem(1);
    const { gradient, value, logprobs, referenceLogprobs } = tableOccupancy(divergence, policy, reference);
    expect(value).toBe(exactOccupancy(divergence, logprobs, referenceLogprobs).value);
    const difference = policy.logits.map((logit, at) => {
      const moved = (step: number) => {
        const logits = Float64Array.from(policy.logits);
        logits[at] = logit + step;
        return tableOccupancy(divergence, { ...policy, logits }, reference).value;
      };
      return (moved(1e-5) - moved(-1e-5)) / 2e-5;
    });
    expect(errorOf(gradient, difference)).toBeLessThan(1e-7);
  });

  test('chi-squared is a product along the way, KL a sum', () => {
    const { space, policy, reference } = problem(2);
    const [logp, logq] = [tokenLogprobs(policy), tokenLogprobs(reference)];
    // Σ_y π_ref Π ρ² and Σ_y π Σ log ρ, token by token.
    let [squares, kl] = [0, 0];
    for (let i = 0; i < space.sequences; i++) {
      let [mass, product, sum] = [1, 1, 0];
      for (let t = 0; t < space.lengths[i]!; t++) {
        const cell = space.prefixOf[i * space.length + t]! * space.vocabulary + space.tokens[i * space.length + t]!;
        mass *= Math.exp(logq[cell]!);
        product *= Math.exp(2 * (logp[cell]! - logq[cell]!));
        sum += logp[cell]! - logq[cell]!;
      }
      squares += mass * product;
      kl += mass * Math.sqrt(product) * sum;
    }
    expect(tableOccupancy('chi2', policy, reference).value).toBeCloseTo(squares - 1, 12);
    expect(tableOccupancy('sqrt-chi2', policy, reference).value).toBeCloseTo(Math.sqrt(squares - 1), 12);
    expect(tableOccupancy('kl', policy, reference).value).toBeCloseTo(kl, 12);
  });

  test('all are 0 at the reference, with gradient 0', () => {
    const { reference } = problem(3);
    for (const divergence of occupancyDivergences) {
      const { value, gradient } = tableOccupancy(divergence, reference, reference);
      expect(value).toBeCloseTo(0, 7);
      expect(Math.max(...gradient.map(Math.abs))).toBeLessThan(1e-12);
    }
  });
});

describe('the faithful estimator', () => {
  test.each(['kl', 'chi2', 'tv'] as const)(
    '%s: expected loss and gradient are the divergence and its gradient',
    (divergence) => {
      for (const seed of seeds) {
        const { policy, reference } = problem(seed);
        const exact = tableOccupancy(divergence, policy, reference);
        const { loss, gradient } = onEveryCompletion('occupancy', { divergence, weight: 1 }, policy, reference);
        expect(Math.abs(loss / exact.value - 1)).toBeLessThan(1e-9);
        expect(errorOf(gradient, exact.gradient)).toBeLessThan(1e-9);
      }
    },
  );

  test('root of chi-squared: over every completion, the root and its gradient', () => {
    for (const seed of seeds) {
      const { policy, reference } = problem(seed);
      const exact = tableOccupancy('sqrt-chi2', policy, reference);
      const { loss, gradient } = onEveryCompletion('occupancy-sqrt-chi2', { weight: 1 }, policy, reference);
      expect(Math.abs(loss / exact.value - 1)).toBeLessThan(1e-9);
      expect(errorOf(gradient, exact.gradient)).toBeLessThan(1e-9);
    }
  });

  test.each(occupancyDivergences)('%s as a reward: the policy gradient is that of the divergence', (divergence) => {
    for (const seed of seeds) {
      const { policy, reference } = problem(seed);
      const { gradient, value, logprobs, referenceLogprobs } = tableOccupancy(divergence, policy, reference);
      const logratios = logprobs.map((logprob, i) => logprob - referenceLogprobs[i]!);
      const rewards = new Float64Array(logratios.length).fill(0.5);
      const shaped = occupancyRewards(rewards, logratios, { divergence, coefficient: 2, root: value });
      const descended = expectedGradient(
        policy,
        shaped.rewards.map((reward) => (0.5 - reward) / 2),
      );
      expect(errorOf(descended, gradient)).toBeLessThan(1e-9);
    }
  });

  test('estimates of the divergence are those of its value, and never negative', () => {
    const logratios = Float64Array.of(0.4, -0.3, 0.1);
    const at = (divergence: (typeof occupancyDivergences)[number]) =>
      occupancyRewards(new Float64Array(3), logratios, { divergence, coefficient: 1 }).divergence;
    const mean = (f: (r: number) => number) => logratios.reduce((sum, r) => sum + f(r), 0) / 3;
    expect(at('kl')).toBeCloseTo(
      mean((r) => r + Math.exp(-r) - 1),
      14,
    );
    expect(at('chi2')).toBeCloseTo(
      mean((r) => Math.exp(r) + Math.exp(-r) - 2),
      14,
    );
    expect(at('sqrt-chi2')).toBeCloseTo(Math.sqrt(at('chi2')), 14);
    expect(at('tv')).toBeCloseTo(
      mean((r) => Math.abs(1 - Math.exp(-r)) / 2),
      14,
    );
  });

  test('above clip the generator of chi-squared goes on as its tangent', () => {
    const clip = 0.5;
    const f = (u: number) => {
      const bend = Math.exp(clip);
      return u > bend ? (bend - 1) ** 2 + 2 * (bend - 1) * (u - bend) : (u - 1) ** 2;
    };
    for (const logratio of [-1, 0.2, 0.45, 0.9, 2]) {
      for (const logImportance of [-0.7, 0, 0.4]) {
        const at = (step: number) =>
          importanceTerm('chi2', { logratio: logratio + step, logImportance: logImportance + step, clip });
        const { value, slope } = at(0);
        expect(value).toBeCloseTo(Math.exp(logImportance - logratio) * f(Math.exp(logratio)), 12);
        expect(slope).toBeCloseTo((at(1e-6).value - at(-1e-6).value) / 2e-6, 6);
        expect(value).toBeGreaterThanOrEqual(0);
      }
    }
  });
});

describe("the authors' estimator", () => {
  test('descends half of chi-squared plus KL(ref ‖ π), and KL(ref ‖ π) where it says KL', () => {
    for (const seed of seeds) {
      const { policy, reference } = problem(seed);
      const { kl, chi2, klGradient, chi2Gradient } = expectedPathwise(policy, reference);
      const [logp, logq] = [sequenceLogprobs(policy), sequenceLogprobs(reference)];
      expect(kl).toBeCloseTo(reverseKl.exact(logp, logq).value, 12);
      expect(chi2).toBeCloseTo(pearsonChi2.exact(logp, logq).value, 12);
      const forward = expectedGradient(
        policy,
        logp.map((logprob, i) => forwardKl.derivative(logprob - logq[i]!)),
      );
      const half = tableOccupancy('chi2', policy, reference).gradient.map((slope, at) => slope / 2 + forward[at]!);
      expect(errorOf(klGradient, forward)).toBeLessThan(1e-9);
      expect(errorOf(chi2Gradient, half)).toBeLessThan(1e-9);
    }
  });

  test('so does the objective, on every completion of a policy that likes all equally', () => {
    const { space, reference } = problem(1);
    const policy = tableOf(space, new Float64Array(space.sequences));
    const weights = { klWeight: 0, chi2Weight: 0, sqrtChi2Weight: 0 };
    const expected = expectedPathwise(policy, reference);
    const chi2 = onEveryCompletion('occupancy-pathwise', { ...weights, chi2Weight: 1 }, policy, reference);
    const kl = onEveryCompletion('occupancy-pathwise', { ...weights, klWeight: 1 }, policy, reference);
    expect(chi2.loss).toBeCloseTo(expected.chi2, 12);
    expect(errorOf(chi2.gradient, expected.chi2Gradient)).toBeLessThan(1e-9);
    expect(errorOf(kl.gradient, expected.klGradient)).toBeLessThan(1e-9);
  });

  test('beyond clip both exponentials go on as their tangents', () => {
    const inside = pathwiseTerms(1, 2);
    expect(inside.ratioMinus1).toBeCloseTo(Math.E - 1, 14);
    expect(inside.inverseRatioSlope).toBeCloseTo(-1 / Math.E, 14);
    const above = pathwiseTerms(5, 2);
    expect(above.ratioMinus1).toBeCloseTo(4 * Math.exp(2) - 1, 12);
    expect(above.ratioSlope).toBeCloseTo(Math.exp(2), 12);
    expect(above.inverseRatioMinus1).toBeCloseTo(Math.exp(-5) - 1, 14);
    const below = pathwiseTerms(-5, 2);
    expect(below.inverseRatioMinus1).toBeCloseTo(4 * Math.exp(2) - 1, 12);
    expect(below.inverseRatioSlope).toBeCloseTo(-Math.exp(2), 12);
    expect(() => pathwisePenalty({ ...none, logprobs, referenceLogprobs: logprobs }, { clip: 0 })).toThrow(/`clip`/);
  });

  test('where chi-squared is below the floor the root has no gradient', () => {
    const referenceLogprobs = Float64Array.of(-1, -2.001);
    const { loss, slopes } = pathwisePenalty({ ...none, logprobs, referenceLogprobs }, { sqrtChi2Weight: 2 });
    expect(loss).toBe(0.02);
    expect([...slopes]).toEqual([0, 0]);
  });
});

const none = { rows: 1, tokens: 2, completionMask: Uint8Array.of(1, 1) };
const logprobs = Float64Array.of(-1, -2);
