import { largest } from '../enumerable/solve.js';
import { logSoftmax } from '../numerics.js';
import { solveLinear } from './linear.js';
import { checkGame, type PreferenceGame, winProbabilities } from './nash.js';

/** Shortest stretch of the path from the reference to the equilibrium. */
const SHORTEST = 2 ** -20;

/**
 * [outcomes]: log-probabilities of the game's only equilibrium, π = softmax(log π_ref + P π/beta). Followed from the
 * reference: the equilibria of P s/beta for s from 0 to 1 are one curve, and each is found from the one before by
 * Newton's method, in stretches as long as it converges.
 */
export function nashEquilibrium(game: PreferenceGame): Float64Array {
  checkGame(game);
  let point = logSoftmax(game.referenceLogits);
  let [done, stretch] = [0, 1];
  while (done < 1) {
    const share = Math.min(1, done + stretch);
    const next = newton(game, share / game.beta, point);
    if (next) {
      [point, done] = [next, share];
      stretch *= 2;
    } else {
      stretch /= 2;
      if (stretch < SHORTEST) throw new RangeError(`no equilibrium found beyond ${done} of P/beta, beta ${game.beta}`);
    }
  }
  return point;
}

/** What is left of π = softmax(log π_ref + strength P π), in logs, and its Jacobian by log π. */
interface Excess {
  readonly excess: Float64Array;
  readonly jacobian: () => readonly Float64Array[];
}

function excessAt(game: PreferenceGame, strength: number, point: Float64Array): Excess {
  const { preference, referenceLogits } = game;
  const wins = winProbabilities(game, point);
  const response = logSoftmax(referenceLogits.map((logit, i) => logit + strength * wins[i]!));
  const outcomes = point.length;
  return {
    excess: point.map((logprob, i) => (logprob === Number.NEGATIVE_INFINITY ? 0 : logprob - response[i]!)),
    jacobian() {
      const masses = point.map(Math.exp);
      const answer = response.map(Math.exp);
      const means = point.map((_, j) => answer.reduce((sum, mass, k) => sum + mass * preference[k * outcomes + j]!, 0));
      return Array.from(point, (_, i) =>
        Float64Array.from(
          point,
          (_value, j) => Number(i === j) - strength * masses[j]! * (preference[i * outcomes + j]! - means[j]!),
        ),
      );
    },
  };
}

/** The equilibrium near a point, to the last digits; nothing where the steps do not come to one. */
function newton(game: PreferenceGame, strength: number, start: Float64Array): Float64Array | undefined {
  const tolerance = 1e-13 * (1 + strength);
  let point = start;
  let here = excessAt(game, strength, point);
  for (let step = 0; step < 50; step++) {
    const moved = damped(game, strength, point, here);
    if (!moved) break;
    [point, here] = [moved.point, moved.there];
  }
  return largest(here.excess) <= tolerance ? point : undefined;
}

/** The longest of the steps 1, 1/2, 1/4 ... of Newton's that makes the excess shorter. */
function damped(game: PreferenceGame, strength: number, point: Float64Array, { excess, jacobian }: Excess) {
  const direction = solveLinear(jacobian(), excess);
  for (let size = 1; size > 1e-4; size /= 2) {
    const next = logSoftmax(point.map((logprob, i) => logprob - size * direction[i]!));
    const there = excessAt(game, strength, next);
    if (length(there.excess) < length(excess)) return { point: next, there };
  }
  return undefined;
}

const length = (values: Float64Array) => Math.hypot(...values);
