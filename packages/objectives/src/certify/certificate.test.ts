import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { getObjective, objectives } from '../catalog.js';
import { type Claims, divergenceDescent, gibbs, negativeReward } from '../claims.js';
import { forwardKl, reverseKl } from '../divergences/index.js';
import { optimalPolicy } from '../enumerable/index.js';
import type { ObjectiveInput, ScoreName } from '../input.js';
import { rowDifferences, rowSums, sigmoid, softplus, spreadRows, total } from '../numerics.js';
import { defineObjective, type Evaluation, type Objective } from '../objective.js';
import { dpo } from '../objectives/dpo.js';
import { occupancyRewards } from '../occupancy/index.js';
import { interleave, marginsOf } from '../pairs.js';
import { estimatorCheck } from './estimator.js';
import { fixedPointCheck } from './fixed-point.js';
import { type CheckName, certify } from './index.js';
import { comparison } from './orderings/f-dpo.js';
import { settingsOf } from './settings.js';
import { faithfulErrors, rewardErrors } from './theory/occupancy.js';
import { firstOrderErrors } from './theory/optima.js';

const trials = 2;

interface Twist {
  /** Factor of the cotangents. */
  readonly gradient?: number;
  /** Added to the margin. */
  readonly shift?: number;
  /** Largest exponential in the loss. */
  readonly overflow?: boolean;
  readonly claims?: Claims;
}

/** DPO, with something wrong. */
function twisted({ gradient = 1, shift = 0, overflow = false, claims = {} }: Twist): Objective {
  const objective = defineObjective({
    name: 'twisted',
    title: 'Twisted',
    summary: 'DPO with something wrong.',
    paper: 'none',
    rows: 'pairs',
    separable: true,
    needs: { policy: ['logprobs'], reference: ['logprobs'] },
    options: { beta: z.number().positive().max(2).default(0.5).describe('Weight of the pull to the reference.') },
    claims: () => claims,
    evaluate(input, { beta }) {
      const margins = marginsOf(rowDifferences(input, input.policy.logprobs, input.reference.logprobs)).map(
        (delta) => beta * delta - shift,
      );
      const pairs = Math.max(input.totals.groups, 1);
      const lossOf = overflow ? (m: number) => Math.log(1 + Math.exp(-m)) : (m: number) => softplus(-m);
      const slopes = interleave(margins.length, (pair) => {
        const slope = (gradient * beta * sigmoid(-margins[pair]!)) / pairs;
        return { chosen: -slope, rejected: slope };
      });
      return {
        loss: total(margins.map(lossOf)) / pairs,
        metrics: {},
        cotangents: { logprobs: spreadRows(input, slopes) },
      };
    },
  });
  return objective as unknown as Objective;
}

const failed = (objective: Objective): CheckName[] =>
  certify(objective, { trials }).checks.flatMap(({ name, passed }) => (passed ? [] : [name]));

describe('a certificate', () => {
  test('of DPO holds, and says what was reached', () => {
    const certificate = certify(dpo as unknown as Objective, { trials });
    expect(certificate.passed).toBe(true);
    expect(certificate.claims[0]).toEqual({ options: {}, optimum: 'π_ref e^{r/beta}' });
    expect(certificate.checks.map(({ name }) => name)).toMatchInlineSnapshot(`
      [
        "gradient",
        "estimator",
        "fixed point",
        "invariances",
        "extremes",
        "refusals",
      ]
    `);
    const point = certificate.checks.find(({ name }) => name === 'fixed point')!;
    expect(point.text).toContain('log-probabilities reach π_ref e^{r/beta}');
    expect(point.error).toBeLessThan(1e-8);
  });

  test('the right thing, written by a user, holds', () => {
    expect(failed(twisted({ claims: { optimum: gibbs(0.5) } }))).toEqual([]);
  });

  test('of one without a closed form says so', () => {
    const { checks } = certify(twisted({}), { trials });
    expect(checks.find(({ name }) => name === 'fixed point')!.text).toMatch(/^no closed form: at rest/);
  });
});

describe('what is wrong is found', () => {
  test('a gradient of half the size', () => {
    expect(failed(twisted({ gradient: 0.5 }))).toEqual(['gradient', 'estimator']);
  });

  test('a gradient of the wrong sign', () => {
    expect(failed(twisted({ gradient: -1 }))).toContain('gradient');
  });

  test('the optimum of another beta', () => {
    expect(failed(twisted({ claims: { optimum: gibbs(0.6) } }))).toEqual(['fixed point']);
  });

  test('a margin that moves the optimum', () => {
    expect(failed(twisted({ shift: 0.5, claims: { optimum: gibbs(0.5) } }))).toEqual(['fixed point']);
  });

  test('noise in the labels that is not there', () => {
    expect(failed(twisted({ claims: { optimum: gibbs(0.5, 0.1) } }))).toEqual(['fixed point']);
  });

  test('an exponential that overflows', () => {
    expect(failed(twisted({ overflow: true }))).toContain('extremes');
  });

  test('an objective that breaks down is a finding, not an end', () => {
    const broken = {
      ...twisted({}),
      evaluate: () => {
        throw new Error('out of order');
      },
    } as Objective;
    const { passed, checks } = certify(broken, { trials });
    expect(passed).toBe(false);
    expect(checks.find(({ name }) => name === 'estimator')!.text).toBe('out of order');
  });
});

/** k1 or k3 as a loss on samples of the policy; `factor` on the logratio's derivative. */
function penalty(slopeOf: (logratio: number) => number, claims: Claims): Objective {
  const objective = defineObjective({
    name: 'penalty',
    title: 'Penalty',
    summary: 'A KL estimator as a loss.',
    paper: 'none',
    rows: 'single',
    separable: true,
    needs: { policy: ['logprobs'], reference: ['logprobs'], old: ['logprobs'] },
    detached: ['logprobs'],
    options: {},
    claims: () => claims,
    evaluate(input) {
      const rows = Math.max(input.totals.rows, 1);
      const slopes = rowDifferences(input, input.stopped.logprobs, input.reference.logprobs).map(
        (r) => slopeOf(r) / rows,
      );
      const sums = rowSums(input, input.policy.logprobs);
      return {
        loss: total(slopes.map((slope, row) => slope * sums[row]!)),
        metrics: {},
        cotangents: { logprobs: spreadRows(input, slopes) },
      };
    },
  });
  return objective as unknown as Objective;
}

describe('an estimator is held to the divergence it claims', () => {
  const estimator = (objective: Objective) =>
    certify(objective, { trials }).checks.find(({ name }) => name === 'estimator')!;
  const k2 = (r: number) => r;
  const k3 = (r: number) => -Math.expm1(-Math.max(r, -300));

  test('k2 descends KL(π ‖ ref), k3 KL(ref ‖ π)', () => {
    expect(estimator(penalty(k2, { descends: divergenceDescent(reverseKl) })).passed).toBe(true);
    expect(estimator(penalty(k3, { descends: divergenceDescent(forwardKl) })).passed).toBe(true);
  });

  test('and not the other way round, nor a reward', () => {
    expect(estimator(penalty(k3, { descends: divergenceDescent(reverseKl) })).passed).toBe(false);
    expect(estimator(penalty(k2, { descends: divergenceDescent(forwardKl) })).passed).toBe(false);
    expect(estimator(penalty(k2, { descends: negativeReward })).passed).toBe(false);
  });

  test('k1 descends nothing', () => {
    expect(estimator(penalty(() => 1, { descends: divergenceDescent(reverseKl) })).passed).toBe(false);
  });
});

/** An objective whose evaluation is another one; loss, gradient and all. */
function evaluatedAs(
  objective: Objective,
  evaluate: (input: ObjectiveInput, options: Readonly<Record<string, unknown>>) => Evaluation,
): Objective {
  return { ...objective, evaluate: (input, options = {}) => evaluate(input, objective.resolveOptions(options)) };
}

/** a times one evaluation and b times another. */
function combined(a: number, first: Evaluation, b: number, second: Evaluation): Evaluation {
  const names = [...new Set([...Object.keys(first.cotangents), ...Object.keys(second.cotangents)])] as ScoreName[];
  const cotangents = names.map((name) => {
    const [one, other] = [first.cotangents[name], second.cotangents[name]];
    return [name, (one ?? other)!.map((_, at) => a * (one?.[at] ?? 0) + b * (other?.[at] ?? 0))];
  });
  return { loss: a * first.loss + b * second.loss, metrics: {}, cotangents: Object.fromEntries(cotangents) };
}

const scaled = (objective: Objective, factor: number) =>
  evaluatedAs(objective, (input, options) => {
    const evaluation = objective.evaluate(input, options);
    return combined(factor, evaluation, 0, evaluation);
  });

/** The term that `weight` weighs, with its sign turned. */
const turned = (objective: Objective, weight: string) =>
  evaluatedAs(objective, (input, options) =>
    combined(2, objective.evaluate(input, { ...options, [weight]: 0 }), -1, objective.evaluate(input, options)),
  );

const estimatorPasses = (objective: Objective) =>
  estimatorCheck(objective, { seed: 1, trials, vocabulary: 3, length: 2 }).passed;

describe('an estimator is held to the size of what it claims', () => {
  const claimed = Object.values(objectives).filter((objective) =>
    settingsOf(objective).some(({ claims }) => claims.descends),
  );

  test.each(claimed)('$name times 0.5 or 7 is found', (objective) => {
    expect(estimatorPasses(scaled(objective, 0.5))).toBe(false);
    expect(estimatorPasses(scaled(objective, 7))).toBe(false);
  });
});

describe('an estimator is held to its sign and its divergence', () => {
  test.each([
    ['grpo', 'beta'],
    ['ppo', 'beta'],
    ['dapo', 'beta'],
    ['grpo', 'entropyCoef'],
    ['kdrl', 'coef'],
    ['hypo', 'klWeight'],
  ] as const)('%s with its %s turned round', (name, weight) => {
    const objective = getObjective(name);
    expect(estimatorPasses(objective)).toBe(true);
    expect(estimatorPasses(turned(objective, weight))).toBe(false);
  });

  test.each(['grpo', 'ppo', 'kdrl'].map(getObjective))('k3 read as k2 in $name', (objective) => {
    const confused = evaluatedAs(objective, (input, options) =>
      objective.evaluate(input, { ...options, klEstimator: options.klEstimator === 'k3' ? 'k2' : options.klEstimator }),
    );
    expect(estimatorPasses(confused)).toBe(false);
  });

  test('a KL without the score term it is asked for', () => {
    const grpo = getObjective('grpo');
    const without = evaluatedAs(grpo, (input, options) => grpo.evaluate(input, { ...options, klImportance: 'none' }));
    expect(estimatorPasses(without)).toBe(false);
  });

  test.each(['f-dpg', 'occupancy-sqrt-chi2', 'occupancy-pathwise'].map(getObjective))(
    '$name of the other sign',
    (objective) => {
      expect(estimatorPasses(objective)).toBe(true);
      expect(estimatorPasses(scaled(objective, -1))).toBe(false);
    },
  );

  test('the pathwise KL where chi-squared is asked for', () => {
    const objective = getObjective('occupancy-pathwise');
    const confused = evaluatedAs(objective, (input, options) =>
      objective.evaluate(input, { ...options, klWeight: options.chi2Weight, chi2Weight: options.klWeight }),
    );
    expect(estimatorPasses(confused)).toBe(false);
  });
});

describe('what theory says is held to its size', () => {
  const seeds = [0, 1];
  const least = 1e-9;

  test('the occupancy loss: half of value and slope is found', () => {
    const { occupancy } = objectives as { readonly occupancy: Objective };
    expect(Math.max(...faithfulErrors(occupancy, seeds))).toBeLessThan(least);
    expect(Math.min(...faithfulErrors(scaled(occupancy, 0.5), seeds))).toBeGreaterThan(0.1);
  });

  test('occupancy in the rewards: penalties of another sign or size are found', () => {
    const multiplied =
      (factor: number): typeof occupancyRewards =>
      (rewards, logratios, options) => {
        const { penalties, divergence } = occupancyRewards(rewards, logratios, options);
        const paid = rewards.map((reward, row) => reward - factor * options.coefficient * penalties[row]!);
        return { rewards: paid, penalties, divergence };
      };
    expect(Math.max(...rewardErrors(multiplied(1), seeds))).toBeLessThan(least);
    for (const factor of [-1, -3, 2]) expect(Math.max(...rewardErrors(multiplied(factor), seeds))).toBeGreaterThan(0.1);
  });

  test('an optimum of large beta that is off by a ten-millionth is found', () => {
    expect(Math.max(...firstOrderErrors(optimalPolicy, seeds))).toBeLessThan(least);
    const off: typeof optimalPolicy = (problem) => optimalPolicy({ ...problem, beta: problem.beta * (1 + 1e-7) });
    expect(Math.max(...firstOrderErrors(off, seeds))).toBeGreaterThan(least);
  });
});

describe('an optimum is held to what drives to it', () => {
  test('SPPO with targets of twice the size is found', () => {
    const sppo = getObjective('sppo');
    const settings = { seed: 1, trials, vocabulary: 3, length: 2 };
    const twice = evaluatedAs(sppo, (input, options) =>
      sppo.evaluate(input, { ...options, beta: (options.beta as number) / 2 }),
    );
    expect(fixedPointCheck(sppo, settings).passed).toBe(true);
    expect(fixedPointCheck(twice, settings).passed).toBe(false);
  });

  test('f-DPG that leaves its scores unread is found', () => {
    const fDpg = getObjective('f-dpg');
    const settings = { seed: 1, trials, vocabulary: 3, length: 2 };
    const unaware = evaluatedAs(fDpg, (input, options) => {
      const targetLogScores = new Float64Array(input.rows);
      return fDpg.evaluate({ ...input, perRow: { ...input.perRow, targetLogScores } }, options);
    });
    expect(fixedPointCheck(fDpg, settings).passed).toBe(true);
    expect(fixedPointCheck(unaware, settings).passed).toBe(false);
  });

  test('an ordering of f-DPO runs is lost where the runs take one divergence for the other', () => {
    const confused = evaluatedAs(getObjective('f-dpo'), (input, options) => {
      const divergence = options.divergence === 'forward-kl' ? 'reverse-kl' : 'forward-kl';
      return getObjective('f-dpo').evaluate(input, { ...options, divergence });
    });
    expect(comparison(forwardKl, reverseKl, 'diversity').reproduced).toBe(true);
    expect(comparison(forwardKl, reverseKl, 'diversity', confused).reproduced).toBe(false);
  });
});
