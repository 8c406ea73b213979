import { describe, expect, test } from 'vitest';
import { reverseKl } from '../divergences/index.js';
import { logSoftmax } from '../numerics.js';
import { seeded } from '../testing/index.js';
import { expectedKlGradient } from './expected-kl-gradient.js';
import { posteriorDivergence, posteriorOf } from './posterior.js';

const random = seeded(11);
const draw = () => Float64Array.from({ length: 5 }, () => 4 * random() - 2);
const problem = { logits: draw(), referenceLogits: draw(), rewards: draw(), beta: 0.7 };

describe('korbak2022', () => {
  test('prior times likelihood: even odds and a reward of beta log 3', () => {
    const { logprobs, logPartition } = posteriorOf({
      referenceLogits: Float64Array.of(0, 0),
      rewards: Float64Array.of(2 * Math.log(3), 0),
      beta: 2,
    });
    expect(Math.exp(logprobs[0]!)).toBeCloseTo(0.75, 15);
    expect(logPartition).toBeCloseTo(Math.log(2), 15);
  });

  test('KL(π ‖ π*) = log Z - J/beta, and their gradients are -1/beta of each other', () => {
    const { klToPosterior, logPartition, objective, gradients } = posteriorDivergence(problem);
    expect(klToPosterior).toBeCloseTo(logPartition - objective / 0.7, 13);
    gradients.objective.forEach((slope, at) => {
      expect(slope).toBeCloseTo(-0.7 * gradients.klToPosterior[at]!, 15);
    });
  });

  test('gradient of the objective = central difference', () => {
    const { gradients } = posteriorDivergence(problem);
    gradients.objective.forEach((slope, at) => {
      const value = (step: number) =>
        posteriorDivergence({ ...problem, logits: problem.logits.map((x, v) => (v === at ? x + step : x)) }).objective;
      expect(slope).toBeCloseTo((value(1e-5) - value(-1e-5)) / 2e-5, 9);
    });
  });

  test('at the posterior both divergences are 0 and the objective is at its largest', () => {
    const { logprobs } = posteriorOf(problem);
    const { klToPosterior, forwardKl, objective, optimum } = posteriorDivergence({ ...problem, logits: logprobs });
    expect([klToPosterior, forwardKl, objective]).toEqual([0, 0, optimum].map((x) => expect.closeTo(x, 14)));
  });

  test('what the reference rules out stays out, whatever its reward', () => {
    const ruled = { ...problem, referenceLogits: problem.referenceLogits.with(1, Number.NEGATIVE_INFINITY) };
    const { logprobs, logPartition } = posteriorOf({ ...ruled, rewards: problem.rewards.with(1, Number.NaN) });
    expect(logprobs[1]).toBe(Number.NEGATIVE_INFINITY);
    expect(Number.isFinite(logPartition)).toBe(true);
  });

  test('beta has to be above 0', () => {
    expect(() => posteriorOf({ ...problem, beta: 0 })).toThrow('beta: expected a number above 0, got 0');
  });
});

describe('song2024: leave-one-out over samples of the policy', () => {
  test.each([1, 2, 3])('groups of %i: the expected gradient is that of KL(π ‖ π_ref)', (groupSize) => {
    const [policy, reference] = [logSoftmax(problem.logits), logSoftmax(problem.referenceLogits)];
    const { gradient } = reverseKl.exact(policy, reference);
    expectedKlGradient(problem.logits, problem.referenceLogits, groupSize).forEach((slope, at) => {
      expect(slope).toBeCloseTo(gradient[at]!, 14);
    });
  });

  test('an outcome that the policy cannot draw is in no group', () => {
    const banned = problem.logits.with(2, Number.NEGATIVE_INFINITY);
    expect(expectedKlGradient(banned, problem.referenceLogits, 2)[2]).toBe(0);
  });
});
