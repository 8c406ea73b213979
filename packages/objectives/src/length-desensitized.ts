import type { ObjectiveInput, Scores } from './input.js';
import { type Grid, rowLengths } from './numerics.js';
import { defineObjective, type Evaluation, type Objective } from './objective.js';
import type { Term } from './weighted.js';

/**
 * [rows, tokens]: 1 on the tokens of a pair's row up to the length of the pair's shorter side, `alpha` on those beyond, 0
 * where masked. Liu et al. 2024 (LD-DPO), arXiv:2409.06411, eq. 9. Positions count completion tokens.
 */
export function sharedLengthWeights(grid: Grid, alpha: number): Float64Array {
  const { rows, tokens, completionMask } = grid;
  const lengths = rowLengths(grid);
  const weights = new Float64Array(rows * tokens);
  for (let row = 0; row < rows; row++) {
    // The other side of the pair is the row whose last bit differs.
    const shared = Math.min(lengths[row]!, lengths[row ^ 1]!);
    let position = 0;
    for (let at = row * tokens; at < (row + 1) * tokens; at++) {
      if (completionMask[at]) weights[at] = position++ < shared ? 1 : alpha;
    }
  }
  return weights;
}

/** An evaluation in which every log-probability stands times its weight, [rows, tokens]; chain rule included. */
export function withTokenWeights<Input extends ObjectiveInput>(
  input: Input,
  weights: Float64Array,
  evaluate: (input: Input) => Evaluation,
): Evaluation {
  const weigh = (logprobs: Float64Array) => logprobs.map((value, at) => (weights[at] === 0 ? 0 : value * weights[at]!));
  const weighed = (scores: Scores) => ({ ...scores, ...(scores.logprobs && { logprobs: weigh(scores.logprobs) }) });
  const { policy, reference, stopped } = input;
  const evaluation = evaluate({
    ...input,
    policy: weighed(policy),
    ...(reference && { reference: weighed(reference) }),
    ...(stopped && { stopped: weighed(stopped) }),
  });
  return {
    ...evaluation,
    cotangents: weighed(evaluation.cotangents),
    details: { ...evaluation.details, tokenWeights: weights },
  };
}

/**
 * An objective on pairs that counts tokens beyond the shorter side's length `alpha` times: TRL's `ld_alpha`, for every
 * objective that reads log-probabilities. Policy and reference alike, and so the logged rewards and `logps/*`; a length
 * that the objective divides by stays the whole one. alpha 1 changes nothing, 0 cuts both sides to equal length.
 */
export function lengthDesensitized({ objective, options }: Omit<Term, 'weight'>, alpha: number): Objective {
  const bound = objective.resolveOptions(options);
  return defineObjective({
    ...objective,
    // Another loss: what the objective promises is not its promise.
    claims: () => ({}),
    claimedAt: [],
    name: `length-desensitized ${alpha} ${objective.name}`,
    needs: objective.needsOf(bound),
    needsOf: () => objective.needsOf(bound),
    options: {},
    atReference: () => objective.atReference?.(bound),
    evaluate: (input) =>
      withTokenWeights(input as ObjectiveInput, sharedLengthWeights(input, alpha), (weighed) =>
        objective.evaluate(weighed, bound),
      ),
  });
}
