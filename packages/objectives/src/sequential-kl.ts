import { divisor, type Grid, rowSums, sigmoid, softplus, spreadRows, total } from './numerics.js';
import type { CheckedInput, Evaluation } from './objective.js';
import { interleave, marginsOf, pairMetrics, sideMean } from './pairs.js';

/** What token-level preference losses read: log-probabilities, and KL(π_ref ‖ π) at each token over the vocabulary. */
export const sequentialKlNeeds = { policy: ['logprobs', 'forwardKl'], reference: ['logprobs'] } as const;
export type SequentialKlInput = CheckedInput<typeof sequentialKlNeeds>;

export interface SequentialKlRule {
  readonly beta: number;
  /** c: how much the difference of the sequential divergences counts. */
  readonly klWeight: number;
  /** The chosen side's divergence is a constant. */
  readonly chosenStopped?: boolean;
  /** u, v [rows, tokens], not negative. Absent: 1 on every token. */
  readonly rewardWeights?: Float64Array | undefined;
  readonly klWeights?: Float64Array | undefined;
}

/**
 * The logistic loss of token-level preference optimisation.
 *   M = Σ_t mask_t u_t (log π(y_t) - log π_ref(y_t)),  K = Σ_t mask_t v_t KL(π_ref ‖ π)_t
 *   m = beta (M_chosen - M_rejected) - c beta (K_rejected - K_chosen),  L = mean over pairs of softplus(-m)
 *   G = -beta σ(-m)/pairs;   dL/dlogπ(y_t) = ±G u_t mask_t,  dL/dKL_t = ±c G v_t mask_t     + chosen, - rejected
 * With `chosenStopped` the chosen side's dL/dKL_t is 0.
 *
 * Logged as rewards is beta (M + K) whatever c is; `kl/chosen` and `kl/rejected` are means of K.
 * `details`: `losses` and `margins` (of the rewards) [pairs]; `logratios` M, `sequenceKls` K, `implicitRewards` and
 * `sequenceLogprobs` [rows].
 */
export function evaluateSequentialKl(input: SequentialKlInput, rule: SequentialKlRule): Evaluation {
  const { policy, reference, stopped, totals } = input;
  const { beta, klWeight, chosenStopped = false, rewardWeights, klWeights } = rule;
  const logratios = weightedSums(input, rewardWeights, (at) => policy.logprobs[at]! - reference.logprobs[at]!);
  const sequenceKls = weightedSums(input, klWeights, (at) => policy.forwardKl[at]!);
  const heldKls = chosenStopped ? weightedSums(input, klWeights, (at) => stopped.forwardKl[at]!) : sequenceKls;

  const margins = marginsOf(logratios.map((logratio) => beta * logratio)).map((margin, pair) => {
    const gap = beta * sequenceKls[2 * pair + 1]! - beta * heldKls[2 * pair]!;
    return margin - klWeight * gap;
  });
  const pairs = divisor(totals.groups);
  const losses = margins.map((margin) => softplus(-margin));
  const slopes = interleave(margins.length, (pair) => {
    const slope = (beta / pairs) * sigmoid(-margins[pair]!);
    return { chosen: -slope, rejected: slope };
  });
  const klSlopes = slopes.map((slope, row) => (chosenStopped && row % 2 === 0 ? 0 : klWeight * slope));
  const implicitRewards = logratios.map((logratio, row) => beta * (logratio + sequenceKls[row]!));
  return {
    loss: total(losses) / pairs,
    metrics: {
      ...pairMetrics(input, implicitRewards),
      'kl/chosen': sideMean(sequenceKls, 0),
      'kl/rejected': sideMean(sequenceKls, 1),
    },
    cotangents: {
      logprobs: weightedSpread(input, slopes, rewardWeights),
      forwardKl: weightedSpread(input, klSlopes, klWeights),
    },
    details: {
      losses,
      margins: marginsOf(implicitRewards),
      logratios,
      sequenceKls,
      implicitRewards,
      sequenceLogprobs: rowSums(input, policy.logprobs),
    },
  };
}

/** [rows]: Σ_t mask_t weight_t value_t. */
function weightedSums(grid: Grid, weights: Float64Array | undefined, value: (at: number) => number): Float64Array {
  const { rows, tokens, completionMask } = grid;
  const sums = new Float64Array(rows);
  for (let at = 0; at < rows * tokens; at++) {
    if (completionMask[at]) sums[Math.floor(at / tokens)]! += weights ? weights[at]! * value(at) : value(at);
  }
  return sums;
}

/** [rows, tokens]: a row's number times the weight of each of its tokens. The transpose of `weightedSums`. */
function weightedSpread(grid: Grid, perRow: Float64Array, weights: Float64Array | undefined): Float64Array {
  const spread = spreadRows(grid, perRow);
  return weights ? spread.map((value, at) => (grid.completionMask[at] ? value * weights[at]! : 0)) : spread;
}
