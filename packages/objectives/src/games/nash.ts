import { forwardKl, reverseKl } from '../divergences/index.js';
import { expectation, logSumExp } from '../enumerable/policy.js';
import { logSoftmax } from '../numerics.js';

/** A preference game, regularised to a reference. Munos et al. 2023, arXiv:2312.00886. */
export interface PreferenceGame {
  /** [outcomes, outcomes], row-major: probability that i beats j; P + Pᵀ = 1. */
  readonly preference: Float64Array;
  /** [outcomes]: of the reference, not normalised. */
  readonly referenceLogits: Float64Array;
  /** Weight of the KL to the reference, above 0. */
  readonly beta: number;
}

/** [outcomes]: P opponent, how often each beats a draw of the opponent, told by its log-probabilities. */
export function winProbabilities(
  { preference }: Pick<PreferenceGame, 'preference'>,
  opponent: Float64Array,
): Float64Array {
  const outcomes = opponent.length;
  return opponent.map((_, i) => expectation(opponent, preference.subarray(i * outcomes, (i + 1) * outcomes)));
}

/**
 * [outcomes]: log-probabilities of the policy that the regularised proximal step from `anchor` against `opponent`
 * gives, Tiapkin et al. 2025, arXiv:2505.19731; the form is a secondary summary's, its solution is derived.
 *   argmin_π { P(opponent beats π)/beta + KL(π ‖ π_ref) + KL(π ‖ anchor)/eta }
 *   log π = (eta log π_ref + log anchor + (eta/beta) P opponent)/(1 + eta) + a constant
 */
export function proximalStep(
  game: PreferenceGame,
  { anchor, opponent, eta }: { readonly anchor: Float64Array; readonly opponent: Float64Array; readonly eta: number },
): Float64Array {
  const reference = logSoftmax(game.referenceLogits);
  const wins = winProbabilities(game, opponent);
  return logSoftmax(
    anchor.map((logprob, i) => (eta * reference[i]! + logprob + (eta / game.beta) * wins[i]!) / (1 + eta)),
  );
}

/** [outcomes] each, log-probabilities. */
export interface MirrorProxIteration {
  /** After the step against the policy before: the opponent of the second step. Of the start, the start itself. */
  readonly half: Float64Array;
  /** After the step against `half`. */
  readonly logprobs: Float64Array;
}

/**
 * Nash Mirror-Prox: each iteration takes two proximal steps, both from the current policy: one against itself, one
 * against the outcome of the first. Tiapkin et al. 2025, arXiv:2505.19731 (later: Proximal Point Nash Learning). The
 * first entry is the start, the reference; one more for each iteration. KL(equilibrium ‖ π_k) shrinks at least by 1/(1
 * + eta) an iteration where eta is small enough for the game: in every game tried eta = 2 beta and beta/2 were. For
 * language models each step is a round of optimisation towards the same target; this is the exact iteration over listed
 * outcomes.
 */
export function nashMirrorProx(
  game: PreferenceGame,
  { eta, iterations }: { readonly eta: number; readonly iterations: number },
): MirrorProxIteration[] {
  checkGame(game);
  if (!(eta > 0)) throw new RangeError(`eta: expected a number above 0, got ${eta}`);
  let anchor = logSoftmax(game.referenceLogits);
  const path: MirrorProxIteration[] = [{ half: anchor, logprobs: anchor }];
  for (let k = 0; k < iterations; k++) {
    const half = proximalStep(game, { anchor, opponent: anchor, eta });
    const logprobs = proximalStep(game, { anchor, opponent: half, eta });
    path.push({ half, logprobs });
    anchor = logprobs;
  }
  return path;
}

/** KL(equilibrium ‖ policy) at each of some policies: the measure in which Nash Mirror-Prox converges. */
export function klToEquilibrium(equilibrium: Float64Array, policies: readonly Float64Array[]): Float64Array {
  return Float64Array.from(policies, (policy) => forwardKl.exact(policy, equilibrium).value);
}

/**
 * What the best answer to a policy gains over it in the regularised game; 0 at the equilibrium only.
 *   max_π' [P(π' beats π) - beta KL(π' ‖ π_ref)] - [1/2 - beta KL(π ‖ π_ref)]
 *   = beta log Σ π_ref e^{Pπ/beta} - (1/2 - beta KL(π ‖ π_ref))
 */
export function bestResponseGain(game: PreferenceGame, policy: Float64Array): number {
  const reference = logSoftmax(game.referenceLogits);
  const wins = winProbabilities(game, policy);
  const best = game.beta * logSumExp(reference.map((logprob, i) => logprob + wins[i]! / game.beta));
  return best - (0.5 - game.beta * reverseKl.exact(policy, reference).value);
}

/** Throws a `RangeError` at what is no game. */
export function checkGame({ preference, referenceLogits, beta }: PreferenceGame): void {
  const outcomes = referenceLogits.length;
  if (!(beta > 0)) throw new RangeError(`beta: expected a number above 0, got ${beta}`);
  if (preference.length !== outcomes ** 2) {
    throw new RangeError(`preference: expected [${outcomes}, ${outcomes}], got ${preference.length} numbers`);
  }
  for (let i = 0; i < outcomes; i++) {
    for (let j = 0; j <= i; j++) {
      const sum = preference[i * outcomes + j]! + preference[j * outcomes + i]!;
      if (Math.abs(sum - 1) <= 1e-9) continue;
      throw new RangeError(`preference: expected P[${i}, ${j}] + P[${j}, ${i}] = 1, got ${sum}`);
    }
  }
}
