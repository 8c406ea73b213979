import { ObjectiveError } from '../errors.js';
import { divisor, rowDifferences, rowLengths, rowSums, spreadRows } from '../numerics.js';
import { type CheckedInput, defineObjective, type Objective } from '../objective.js';
import type { Term } from '../weighted.js';
import type { Divergence, LinkDivergence } from './divergence.js';
import { linkNeeds, linkOf, requireLink } from './preference.js';

/** How f' is read: its exponents are held to the cap, without gradient above. */
interface Reading {
  readonly exponentCap?: number;
}

/**
 * An objective on pairs under another divergence than reverse KL: each side's summed logratio r becomes f'(e^r) - f'(1), as
 * f-DPO does it to the logistic loss. For the losses of the margin alone (hinge, IPO, EXO, robust, DiscoPOP,
 * length-normalised), since only a difference of sides is free of the partition term; others are refused. What divides by
 * a row's length divides f' by it. The metrics stay the objective's own, on r.
 *   L' = L(s),  s = f'(e^r) - f'(1);   dL'/dlogπ(y_t) = mask_t dL/ds f''(e^r) e^r
 * Wang et al. 2023, arXiv:2309.16240; TRL's `f_divergence_type` beside those of its `loss_type`.
 */
export function throughLink(term: Omit<Term, 'weight'>, divergence: LinkDivergence, reading: Reading = {}): Objective {
  requireLink(divergence);
  return throughDerivative(term, divergence, reading);
}

/** The same through any f', link or not: `marginThrough` for other losses than the logistic one. */
export function throughDerivative(
  { objective, options }: Omit<Term, 'weight'>,
  divergence: Divergence,
  { exponentCap = 80 }: Reading = {},
): Objective {
  const bound = objective.resolveOptions(options);
  requireMargin(objective, bound);
  const { value, slope } = linkOf(divergence, exponentCap);
  const atOne = value(0);
  return defineObjective({
    ...objective,
    // Another loss: what the objective promises is not its promise.
    claims: () => ({}),
    claimedAt: [],
    name: `${objective.name} through ${divergence.name}`,
    needs: linkNeeds,
    needsOf: () => objective.needsOf(bound),
    options: {},
    atReference: () => objective.atReference?.(bound),
    evaluate(input) {
      const logRatios = rowDifferences(input, input.policy.logprobs, input.reference.logprobs);
      const lengths = rowLengths(input).map(divisor);
      const scores = logRatios.map((r) => value(r) - atOne);
      const { loss, cotangents, details } = objective.evaluate(withRowSums(input, scores, lengths), bound);
      const { logprobs } = cotangents;
      const perScore = logprobs ? rowSums(input, logprobs).map((sum, row) => sum / lengths[row]!) : scores.map(() => 0);
      return {
        loss,
        metrics: objective.evaluate(input, bound).metrics,
        cotangents: {
          logprobs: spreadRows(
            input,
            perScore.map((by, row) => (by === 0 ? 0 : by * slope(logRatios[row]!))),
          ),
        },
        details: { ...details, scores },
      };
    },
  });
}

type LinkInput = CheckedInput<typeof linkNeeds>;

/** The rows with logratios that sum to these numbers, spread evenly over their tokens. */
function withRowSums(input: LinkInput, sums: Float64Array, lengths: Float64Array): LinkInput {
  const logprobs = spreadRows(
    input,
    sums.map((sum, row) => sum / lengths[row]!),
  );
  const policy = { ...input.policy, logprobs };
  const zeros = new Float64Array(logprobs.length);
  return { ...input, policy, stopped: policy, reference: { ...input.reference, logprobs: zeros } };
}

/** Throws where a number added to both logratios of a pair changes the loss. */
function requireMargin(objective: Objective, options: Record<string, unknown>): void {
  const { rows, separable, needsOf } = objective;
  const { policy, reference } = needsOf(options);
  const readsLogratios = [...policy, ...reference].join() === 'logprobs,logprobs';
  if (rows === 'pairs' && separable && readsLogratios) {
    const [low, high] = [0, 0.75].map((shift) => objective.evaluate(onePair(0.5 + shift, -0.25 + shift), options).loss);
    if (Math.abs(low! - high!) <= 1e-12 * (1 + Math.abs(low!))) return;
  }
  const expected = 'a loss of the margin between both logratios of a pair';
  const where = { objective: objective.name };
  throw new ObjectiveError([{ code: 'invalid-option', where, expected, received: `\`${objective.name}\`` }]);
}

function onePair(chosen: number, rejected: number) {
  return {
    rows: 2,
    tokens: 1,
    completionMask: Uint8Array.of(1, 1),
    policy: { logprobs: Float64Array.of(chosen, rejected) },
    reference: { logprobs: new Float64Array(2) },
  };
}
