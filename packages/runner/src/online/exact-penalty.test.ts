import { countTotals, getObjective, type ObjectiveInput, rowSums, spreadRows } from '@kelpie/objectives';
import {
  enumerateSequences,
  gridOf,
  pullback,
  randomPolicy,
  scoresOf,
  sequenceLogprobs,
  type TablePolicy,
} from '@kelpie/objectives/enumerable';
import { seeded } from '@kelpie/objectives/testing';
import { describe, expect, test } from 'vitest';
import { exactPenaltyNames, exactScores } from './exact-penalty.js';
import { aimOf, shape } from './penalties.js';

const space = enumerateSequences({ vocabulary: 4, length: 3 });
const rows = [...Array(space.sequences).keys()];
const grid = gridOf(space, rows);
const policy = randomPolicy(space, seeded(5));
const reference = randomPolicy(space, seeded(6));
const rewards = Float64Array.from(rows, (row) => Math.sin(3 * row));

describe.each(exactPenaltyNames)('%s in both', (penalty) => {
  const options = {
    ...({ penalty, penaltyIn: 'both', penaltyParameter: 0.3, klEstimator: 'k1', occupancyClip: 10 } as const),
  };
  const [score] = exactScores(options);
  const measured = (at: TablePolicy) => scoresOf(at, rows, [score!], reference)[score as 'reverseKl']!;
  const coef = 0.7;

  /** E R - coef E Σ_t D_t over all completions. */
  const value = (at: TablePolicy) => {
    const cost = rowSums(grid, measured(at));
    return sequenceLogprobs(at).reduce(
      (sum, logprob, y) => sum + Math.exp(logprob) * (rewards[y]! - coef * cost[y]!),
      0,
    );
  };

  test('the expected gradient is that of the regularised reward', () => {
    const logprobs = scoresOf(policy, rows, ['logprobs'], reference).logprobs!;
    const referenceLogprobs = scoresOf(reference, rows, ['logprobs']).logprobs!;
    const ended = new Uint8Array(rows.length);
    const shaped = shape(
      { ...grid, logprobs, referenceLogprobs, rewards, ended, measured: measured(policy) },
      coef,
      options,
    );
    const aim = aimOf({ objective: getObjective('rloo'), objectiveOptions: {} }, coef, options);
    const input: ObjectiveInput = {
      ...grid,
      policy: { logprobs, [score!]: measured(policy) },
      old: { logprobs },
      perToken: { advantages: spreadRows(grid, shaped.rewards) },
      totals: countTotals('single', grid),
    };
    const { cotangents } = aim.objective.evaluate(input, aim.objectiveOptions);
    // Each completion as often as it is drawn.
    const mass = sequenceLogprobs(policy).map(Math.exp);
    const expected = Object.fromEntries(
      Object.entries(cotangents).map(([name, values]) => [
        name,
        values.map((slope, at) => slope * rows.length * mass[Math.floor(at / grid.tokens)]!),
      ]),
    );
    const { logits } = pullback(policy, rows, expected, reference);
    const step = 1e-5;
    policy.logits.forEach((_, at) => {
      const moved = (by: number) => {
        const table = { space, logits: policy.logits.slice() };
        table.logits[at]! += by;
        return value(table);
      };
      expect(-logits[at]!).toBeCloseTo((moved(step) - moved(-step)) / (2 * step), 7);
    });
  });
});
