import { z } from 'zod';
import type { ObjectiveState } from '../input.js';
import { rowDifferences, sigmoid, softplus, total } from '../numerics.js';
import { defineObjective } from '../objective.js';
import { evaluateUnpaired, unpairedNeeds } from '../unpaired.js';

/**
 * Binary classifier optimisation: a classifier of desirable and undesirable completions whose logit is the implicit
 * reward. Jung et al. 2024, arXiv:2404.04656, eq. 9; the density ratio is section 4's.
 *   reward = β Σ_t mask_t (log π(y_t) - log π_ref(y_t))
 *   δ = running mean of the rewards of all rows so far, this step's included, no gradient:
 *       δ = deltaMean + (mean reward - deltaMean) rows/(deltaCount + rows)
 *   L = mean over rows of softplus(δ - reward) of a desirable row, w softplus(reward - δ) of an undesirable one
 *   dL/dlogπ(y_t) = -β σ(δ - reward)/rows mask_t;   w β σ(reward - δ)/rows mask_t
 * w = 1, or with `densityRatio` the row's `densityRatios` within [minDensityRatio, maxDensityRatio]: undesirable rows are
 * weighed as if their prompts were those of the desirable ones. The mean is over rows, weights included, as in TRL. The
 * running mean is the `state`: `deltaMean` and `deltaCount`, both 0 at the start. An evaluation that is not a training step
 * leaves it as it was by not handing on what it gave. `details`: `losses`, `implicitRewards` [rows], `delta` [1].
 */
export const bco = defineObjective({
  name: 'bco',
  title: 'Binary classifier optimisation',
  summary: 'Trains the implicit reward to tell desirable completions from undesirable ones.',
  paper: 'Jung et al. 2024, arXiv:2404.04656',
  rows: 'unpaired',
  separable: false,
  detached: ['logprobs:delta'],
  state: { deltaMean: 0, deltaCount: 0 },
  needs: unpairedNeeds,
  needsOf: ({ densityRatio }) =>
    densityRatio ? { ...unpairedNeeds, perRow: ['labels', 'densityRatios'] } : unpairedNeeds,
  options: {
    beta: z.number().positive().default(0.1).describe('Weight of the pull to the reference.'),
    densityRatio: z.boolean().default(false).describe('Weighs undesirable rows by the density ratio they bring along.'),
    minDensityRatio: z.number().min(0).max(1).default(0.5).describe('Smaller ratios count as this one.'),
    maxDensityRatio: z.number().min(1).default(10).describe('Larger ratios count as this one.'),
  },
  atReference: ({ densityRatio }) => (densityRatio ? undefined : Math.LN2),
  evaluate(input, { beta, densityRatio, minDensityRatio, maxDensityRatio }) {
    const { policy, stopped, reference, perRow } = input;
    const rewardsOf = (logprobs: Float64Array) =>
      rowDifferences(input, logprobs, reference.logprobs).map((logratio) => beta * logratio);
    const state = withRewards(input.state, rewardsOf(stopped.logprobs));
    const delta = state.deltaMean;
    const weightOf = (row: number) =>
      densityRatio ? Math.min(Math.max(perRow.densityRatios![row]!, minDensityRatio), maxDensityRatio) : 1;
    const evaluation = evaluateUnpaired(
      input,
      { beta, implicitRewards: rewardsOf(policy.logprobs) },
      (reward, desirable, row) => {
        const logit = reward - delta;
        if (desirable) return { loss: softplus(-logit), slope: -sigmoid(-logit) };
        const weight = weightOf(row);
        return { loss: weight * softplus(logit), slope: weight * sigmoid(logit) };
      },
    );
    const { rows } = input;
    return {
      ...evaluation,
      metrics: { ...evaluation.metrics, delta: { sum: delta * rows, count: rows } },
      details: { ...evaluation.details, delta: Float64Array.of(delta) },
      state,
    };
  },
});

/** The running mean with further rewards in it. */
function withRewards(state: ObjectiveState, rewards: Float64Array) {
  const { deltaMean = 0, deltaCount = 0 } = state;
  const rows = rewards.length;
  if (rows === 0) return { deltaMean, deltaCount };
  const step = (total(rewards) / rows - deltaMean) * (rows / (deltaCount + rows));
  return { deltaMean: deltaMean + step, deltaCount: deltaCount + rows };
}
