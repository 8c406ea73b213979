import { countTotals, getObjective, type ObjectiveInput, spreadRows } from '@kelpie/objectives';
import {
  enumerateSequences,
  gridOf,
  pullback,
  randomPolicy,
  scoresOf,
  sequenceLogprobs,
} from '@kelpie/objectives/enumerable';
import { seeded } from '@kelpie/objectives/testing';
import { describe, expect, test } from 'vitest';
import { onlineOptions } from './options.js';
import { type Aim, aimOf, requirePenalty, settled } from './penalties.js';

const space = enumerateSequences({ vocabulary: 4, length: 3 });
const rows = [...Array(space.sequences).keys()];
const grid = gridOf(space, rows);
const policy = randomPolicy(space, seeded(5));
const reference = randomPolicy(space, seeded(6));

const inLoss = { penalty: 'kl', penaltyIn: 'loss' } as const;
const aim = (name: string, objectiveOptions: Aim['objectiveOptions'] = {}): Aim => ({
  objective: getObjective(name),
  objectiveOptions,
});
const parsed = (given: Parameters<typeof onlineOptions.parse>[0]) => onlineOptions.parse(given);

/** d L / d logits over all completions, each as often as it is drawn; every advantage is `advantage`. */
function gradient(of: Aim, penalty: 'kl' | 'exact-reverse-kl', coef: number): Float64Array {
  const { options, ...own } = settled(of, parsed({ penalty, penaltyIn: 'loss' }));
  const { objective, objectiveOptions } = aimOf(own, coef, options);
  const { logprobs, reverseKl } = scoresOf(policy, rows, ['logprobs', 'reverseKl'], reference);
  const input: ObjectiveInput = {
    ...grid,
    policy: { logprobs: logprobs!, reverseKl: reverseKl! },
    reference: { logprobs: scoresOf(reference, rows, ['logprobs']).logprobs! },
    old: { logprobs: logprobs! },
    perToken: { advantages: spreadRows(grid, new Float64Array(grid.rows)) },
    totals: countTotals('single', grid),
  };
  const { cotangents } = objective.evaluate(input, objectiveOptions);
  const mass = sequenceLogprobs(policy).map(Math.exp);
  const expected = Object.fromEntries(
    Object.entries(cotangents).map(([name, values]) => [
      name,
      values.map((slope, at) => slope * rows.length * mass[Math.floor(at / grid.tokens)]!),
    ]),
  );
  return pullback(policy, rows, expected, reference).logits;
}

describe('the KL in the loss', () => {
  test.each([
    ['rloo', {}],
    ['dr-grpo', { tokenBudget: 7 }],
    ['dapo', {}],
    ['ppo', { valueCoef: 0 }],
    ['grpo', { aggregation: 'sums' }],
  ])('by default of %s has the expected gradient of the exact one, in the same units', (name, options) => {
    const [sampled, exact] = (['kl', 'exact-reverse-kl'] as const).map((penalty) =>
      gradient(aim(name, options), penalty, 0.7),
    );
    expect(Math.max(...exact!.map(Math.abs))).toBeGreaterThan(1e-3);
    sampled!.forEach((slope, at) => {
      expect(slope).toBeCloseTo(exact![at]!, 10);
    });
  });

  test("is by the objective's own estimator if that is given, and by k2 if none is", () => {
    const of = (objectiveOptions: Aim['objectiveOptions'], klEstimator?: 'k3') =>
      settled(aim('grpo', objectiveOptions), parsed({ ...inLoss, klEstimator })).options.klEstimator;
    expect(of({})).toBe('k2');
    expect(of({ klEstimator: 'k3+' })).toBe('k3+');
    expect(of({}, 'k3')).toBe('k3');
    expect(settled(aim('grpo'), parsed({ penalty: 'kl' })).options.klEstimator).toBe('k1');
  });

  test('is refused where it is paid twice, is two things, or moves nothing', () => {
    const refused = (objectiveOptions: Aim['objectiveOptions'], klEstimator?: 'k1' | 'k3') =>
      expect(() => requirePenalty(aim('grpo', objectiveOptions), parsed({ ...inLoss, klEstimator })));
    refused({ beta: 0.3 }).toThrow('`beta` 0.3 of `grpo` is a KL in the loss, and so is the penalty');
    refused({ klEstimator: 'k2' }, 'k3').toThrow('`klEstimator` is k2 among the options of `grpo` and k3 among');
    refused({}, 'k1').toThrow('the expected gradient of `klEstimator` k1 in a loss is 0');
    refused({ klEstimator: 'k1' }).toThrow('is 0');
    refused({ klImportance: 'live' }, 'k1').not.toThrow();
    refused({ beta: 0, klEstimator: 'k3' }, 'k3').not.toThrow();
  });
});

test('an objective with a KL of its own pays once: beta is 0 beside a penalty unless it is given', () => {
  const beta = (penalty: 'none' | 'kl' | 'occupancy-chi2', own: Aim['objectiveOptions'] = {}) =>
    settled(aim('grpo', own), parsed({ penalty })).objectiveOptions.beta;
  expect(beta('none')).toBeUndefined();
  expect(beta('kl')).toBe(0);
  expect(beta('occupancy-chi2')).toBe(0);
  expect(beta('occupancy-chi2', { beta: 0.04 })).toBe(0.04);
  expect(settled(aim('nash-md'), parsed({ penalty: 'kl' })).objectiveOptions).toEqual({});
});
