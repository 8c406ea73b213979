import { ObjectiveError } from './errors.js';
import type { Totals } from './input.js';
import { divisor, type Grid, rowDifferences, rowLengths, total } from './numerics.js';
import { type CheckedInput, defineObjective, type Evaluation, type Objective } from './objective.js';
import { chosenSide, onChosenSide, type Term } from './weighted.js';

/** What the weights read. */
export const confidenceNeeds = { policy: ['logprobs', 'logSumSquares'], reference: [] } as const;

/**
 * [pairs]: w_chosen w_rejected,  w = exp(mean_t (log π(y_t) - log Σ_v π_v²)). Zhou et al. 2024 (WPO), arXiv:2406.11827, eq. 2
 * with the alignment of section 3.2. How likely the policy is to write the pair itself, each token against what a draw
 * from its distribution scores on average. A constant: read from `stopped`. `maxWeight` bounds the product; 0: no bound.
 */
export function confidenceWeights(input: CheckedInput<typeof confidenceNeeds>, maxWeight = 0): Float64Array {
  const { logprobs, logSumSquares } = input.stopped;
  const lengths = rowLengths(input);
  const means = rowDifferences(input, logprobs, logSumSquares).map((sum, row) => sum / divisor(lengths[row]!));
  const weights = Float64Array.from({ length: input.rows / 2 }, (_, pair) =>
    Math.exp(means[2 * pair]! + means[2 * pair + 1]!),
  );
  return maxWeight === 0 ? weights : weights.map((weight) => Math.min(weight, maxWeight));
}

/** A mean over pairs with each pair's loss times its weight, from the unweighted evaluation and its `details.losses`. */
export function weighPairs(evaluation: Evaluation, weights: Float64Array, input: WholeStep): Evaluation {
  const losses = evaluation.details?.losses?.map((loss, pair) => loss * weights[pair]!);
  if (losses?.length !== weights.length) throw new TypeError('an objective whose `details` have no `losses` per pair');
  const { logprobs } = evaluation.cotangents;
  return {
    ...evaluation,
    loss: total(losses) / divisor(input.totals.groups),
    cotangents: { ...(logprobs && { logprobs: logprobs.map((value, at) => value * weights[pairOf(at, input)]!) }) },
    details: { ...evaluation.details, losses, weights },
  };
}

type WholeStep = Grid & { readonly totals: Totals };

const pairOf = (at: number, { tokens }: { readonly tokens: number }) => Math.floor(at / tokens / 2);

/**
 * An objective times the confidence weights of its pairs: TRL's `use_weighting`.
 *   on pairs           L = mean over pairs of w_pair ℓ_pair; its `details` give `losses`, one a pair
 *   on single rows     L = (mean over pairs of w) L(chosen side), as TRL weighs its `sft` term. Not separable.
 * A loss that is not a mean over pairs, as one between order statistics, has no pair to weigh: refused.
 */
export function confidenceWeighted({ objective, options }: Omit<Term, 'weight'>, maxWeight = 0): Objective {
  requireWeighable(objective);
  const bound = objective.resolveOptions(options);
  const inner = objective.needsOf(bound);
  const single = objective.rows === 'single';
  const needs = { ...inner, policy: [...new Set([...inner.policy, ...confidenceNeeds.policy])] };
  return defineObjective({
    ...objective,
    // Another loss: what the objective promises is not its promise.
    claims: () => ({}),
    claimedAt: [],
    name: `confidence-weighted ${objective.name}`,
    rows: 'pairs',
    separable: !single,
    linear: false,
    detached: [...(objective.detached ?? []), 'logprobs:weight', 'logSumSquares'],
    needs,
    needsOf: () => needs,
    options: {},
    atReference: () => undefined,
    evaluate(checked) {
      const input = checked as CheckedInput<typeof confidenceNeeds>;
      const weights = confidenceWeights(input, maxWeight);
      return single
        ? scaled(objective.evaluate(chosenSide(input), bound), total(weights) / divisor(weights.length), input)
        : weighPairs(objective.evaluate(input, bound), weights, input);
    },
  });
}

/** A number for the chosen side alone, times a constant. */
function scaled({ loss, cotangents }: Evaluation, factor: number, input: Grid): Evaluation {
  const spread = onChosenSide(cotangents, input);
  const times = Object.entries(spread).map(([name, values]) => [name, values.map((value) => factor * value)]);
  return { loss: factor * loss, metrics: {}, cotangents: Object.fromEntries(times) };
}

function requireWeighable({ name, rows, separable }: Objective): void {
  if (separable && (rows === 'pairs' || rows === 'single')) return;
  const received = separable ? `\`${name}\` on ${rows} rows` : `\`${name}\`, which sees the whole step at once`;
  const where = { objective: 'confidence-weighted' };
  throw new ObjectiveError([{ code: 'invalid-option', where, expected: 'a mean over pairs or single rows', received }]);
}
