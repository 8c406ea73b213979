import { reverseKl } from '../divergences/index.js';
import { bestOfN } from '../enumerable/index.js';

/** What is known of drawing n completions and keeping the best, from a list of all completions there are. */
export interface BestOfN {
  /** [outcomes]: log-probability of each being kept; -Infinity where the policy never draws it. */
  readonly logprobs: Float64Array;
  /** KL(best-of-n ‖ policy), exactly. */
  readonly kl: number;
  /** log n - (n-1)/n: `kl` is at most this, and equal to it where no two draws can be of the same reward. */
  readonly klBound: number;
  /** How often the kept one is better than one draw; ties count half. */
  readonly winRate: number;
  /** n/(n+1): `winRate` is at most this. */
  readonly winRateBound: number;
}

/**
 * Best-of-n, exactly. Beirami et al. 2024, arXiv:2401.01879: over outcomes sorted by reward with distribution function F,
 *   pmf_i = F_i^n - F_{i-1}^n
 * and what goes around as its KL is an upper bound, far off where the policy has few outcomes. Outcomes of equal reward
 * share their mass as the policy does. `logprobs` [outcomes] are normalised.
 */
export function bestOfNExactly(logprobs: Float64Array, rewards: Float64Array, n: number): BestOfN {
  if (!(Number.isInteger(n) && n >= 1)) throw new RangeError(`\`n\`: expected a whole number from 1, got ${n}`);
  if (logprobs.length !== rewards.length) {
    throw new RangeError(`expected a reward for each of ${logprobs.length} outcomes, got ${rewards.length}`);
  }
  const possible = [...logprobs.keys()].filter((i) => logprobs[i] !== Number.NEGATIVE_INFINITY);
  const take = (values: Float64Array) => Float64Array.from(possible, (i) => values[i]!);
  const taken = bestOfN(take(logprobs), take(rewards), n);
  const kept = new Float64Array(logprobs.length).fill(Number.NEGATIVE_INFINITY);
  possible.forEach((i, at) => {
    kept[i] = taken[at]!;
  });
  return {
    logprobs: kept,
    kl: reverseKl.exact(kept, logprobs).value,
    klBound: bestOfNKlBound(n),
    winRate: winRate(kept, logprobs, rewards),
    winRateBound: bestOfNWinRateBound(n),
  };
}

/** log n - (n-1)/n, in nats. */
export function bestOfNKlBound(n: number): number {
  return Math.log(n) - (n - 1) / n;
}

/** n/(n+1). */
export function bestOfNWinRateBound(n: number): number {
  return n / (n + 1);
}

/** How often a draw of p is better than one of q, both log-probabilities [outcomes]; ties count half. */
export function winRate(p: Float64Array, q: Float64Array, rewards: Float64Array): number {
  const shares = calibratedExactly(q, rewards, 'half');
  return p.reduce((sum, logprob, i) => sum + Math.exp(logprob) * shares[i]!, 0);
}

/**
 * [outcomes]: the mass of a policy whose reward is below each outcome's, and of that equal to it all (`whole`, the
 * distribution function, as calibration has it) or half (`half`, as a win rate has it).
 */
export function calibratedExactly(
  logprobs: Float64Array,
  rewards: Float64Array,
  ties: 'whole' | 'half' = 'whole',
): Float64Array {
  const order = [...rewards.keys()].sort((a, b) => rewards[a]! - rewards[b]!);
  const shares = new Float64Array(rewards.length);
  let below = 0;
  for (let from = 0; from < order.length; ) {
    let to = from;
    let mass = 0;
    for (; to < order.length && rewards[order[to]!] === rewards[order[from]!]; to++)
      mass += Math.exp(logprobs[order[to]!]!);
    for (const i of order.slice(from, to)) shares[i] = below + (ties === 'half' ? mass / 2 : mass);
    below += mass;
    from = to;
  }
  return shares;
}
