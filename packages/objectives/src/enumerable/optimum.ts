import { type Divergence, logOptimum } from '../divergences/index.js';
import { expectation, logSumExp, normalized } from './policy.js';
import { rootBetween } from './solve.js';

/** What is maximised over all distributions p on the completions: E_p r - beta D_f(p ‖ q). */
export interface Regularised {
  /** [sequences]: log q, normalised; -Infinity rules a completion out. */
  readonly reference: Float64Array;
  /** [sequences] */
  readonly rewards: Float64Array;
  readonly divergence: Divergence;
  readonly beta: number;
}

/**
 * log p of the exact optimum, [sequences], from its first-order condition
 *   f'(u_i) = (r_i - λ)/beta where u_i = p_i/q_i > 0;   (r_i - λ)/beta <= f'(0+) where u_i = 0;   Σ q_i u_i = 1
 * The normaliser λ is sought as t = log u of the best completion, which lies in [0, -log q(best)] whatever beta is: then
 * λ = max r - beta f'(e^t), and every other u_i follows from its distance to the best. Total variation, whose f' is no
 * function, is solved as the linear programme it is: completions more than beta below the best give up all their mass.
 */
export function optimalPolicy({ reference, rewards, divergence, beta }: Regularised): Float64Array {
  if (!(beta > 0)) throw new RangeError(`\`beta\`: expected a number above 0, got ${beta}`);
  const possible = reference.map((logprob) => (logprob > Number.NEGATIVE_INFINITY ? 1 : 0));
  const best = rewards.reduce(
    (most, reward, i) => (possible[i] ? Math.max(most, reward) : most),
    Number.NEGATIVE_INFINITY,
  );
  const isBest = rewards.map((reward, i) => (possible[i] && reward === best ? 1 : 0));
  const room = -logSumExp(reference.filter((_, i) => isBest[i]));
  if (divergence.name === 'total-variation') return movedMass(reference, rewards, best, isBest, beta);
  const gaps = rewards.map((reward) => (best - reward) / beta);
  /** log u of each completion where that of the best is t. */
  const logRatio = (i: number, t: number, top: number) =>
    isBest[i] ? t : Math.min(t, logOptimum(divergence, top - gaps[i]!));
  const excess = (t: number) => {
    const top = divergence.derivative(t);
    let sum = 0;
    for (let i = 0; i < gaps.length; i++) if (possible[i]) sum += Math.exp(logRatio(i, t, top) + reference[i]!);
    return Math.log(sum);
  };
  // At either end the sum may miss 1 by its last digit.
  const t = excess(0) >= 0 ? 0 : excess(room) <= 0 ? Math.max(room, 0) : rootBetween(excess, 0, room);
  const top = divergence.derivative(t);
  return normalized(
    reference.map((logprob, i) => (possible[i] ? logRatio(i, t, top) + logprob : Number.NEGATIVE_INFINITY)),
  );
}

function movedMass(reference: Float64Array, rewards: Float64Array, best: number, isBest: Float64Array, beta: number) {
  const kept = (i: number) => isBest[i] === 1 || best - rewards[i]! <= beta;
  const given = expectation(
    reference,
    rewards.map((_, i) => (kept(i) ? 0 : 1)),
  );
  const top = logSumExp(reference.filter((_, i) => isBest[i]));
  const gain = Math.log1p(given / Math.exp(top));
  return normalized(
    reference.map((logprob, i) => (isBest[i] ? logprob + gain : kept(i) ? logprob : Number.NEGATIVE_INFINITY)),
  );
}

/**
 * How far a distribution is from the first-order condition: the largest difference between multipliers r_i - beta f'(u_i)
 * of completions with mass, the largest amount by which one without mass should have some, and |Σ p - 1|.
 */
export function firstOrderError({ reference, rewards, divergence, beta }: Regularised, logprobs: Float64Array): number {
  let [least, most, without] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (let i = 0; i < logprobs.length; i++) {
    if (reference[i] === Number.NEGATIVE_INFINITY) continue;
    if (logprobs[i] === Number.NEGATIVE_INFINITY) {
      without = Math.max(without, rewards[i]! - beta * divergence.range[0]);
      continue;
    }
    const multiplier = rewards[i]! - beta * divergence.derivative(logprobs[i]! - reference[i]!);
    [least, most] = [Math.min(least, multiplier), Math.max(most, multiplier)];
  }
  return Math.max(most - least, without - most, Math.abs(Math.expm1(logSumExp(logprobs))));
}

/** A point of a frontier. */
export interface FrontierPoint {
  readonly beta: number;
  /** E_p r of the reward that was optimised. */
  readonly reward: number;
  /** D_f(p ‖ q). */
  readonly divergence: number;
  /** [sequences]: log p. */
  readonly logprobs: Float64Array;
}

/** The exact optimum at each coefficient: the most reward there is at each divergence. */
export function frontier(problem: Omit<Regularised, 'beta'>, betas: readonly number[]): FrontierPoint[] {
  return betas.map((beta) => {
    const logprobs = optimalPolicy({ ...problem, beta });
    return {
      beta,
      logprobs,
      reward: expectation(logprobs, problem.rewards),
      divergence: problem.divergence.exact(logprobs, problem.reference).value,
    };
  });
}

/** Numbers at equal ratios, both ends included. */
export function spacedBetween(low: number, high: number, count: number): number[] {
  return Array.from({ length: count }, (_, i) => low * (high / low) ** (i / Math.max(1, count - 1)));
}

/** The optimum whose expected reward is `target`, between that of the reference and the best there is. */
export function optimumAtReward(problem: Omit<Regularised, 'beta'>, target: number): FrontierPoint {
  const at = (logBeta: number) => frontier(problem, [Math.exp(logBeta)])[0]!;
  const logBeta = rootBetween((x) => at(x).reward - target, Math.log(1e-8), Math.log(1e8));
  return at(logBeta);
}

/**
 * log p of best-of-n, exactly, [sequences]: the mass of the best of n draws, F_i^n - F_{i-1}^n over completions sorted by
 * reward with F the distribution function under the reference. Ties share their mass as the reference does, which is what
 * a fair choice between equal draws comes to. Beirami et al. 2024, arXiv:2401.01879.
 */
export function bestOfN(reference: Float64Array, rewards: Float64Array, n: number): Float64Array {
  const order = [...rewards.keys()].sort((a, b) => rewards[a]! - rewards[b]!);
  const logprobs = new Float64Array(rewards.length);
  let below = 0;
  for (let from = 0; from < order.length; ) {
    let to = from;
    while (to < order.length && rewards[order[to]!] === rewards[order[from]!]) to++;
    const tied = order.slice(from, to);
    const mass = tied.reduce((sum, i) => sum + Math.exp(reference[i]!), 0);
    const upTo = below + mass;
    // F^n - F_below^n = F^n (1 - (F_below/F)^n), without subtracting two powers.
    const share = below === 0 ? 0 : Math.log(-Math.expm1(n * Math.log1p(-mass / upTo)));
    const logMass = n * Math.log(Math.min(upTo, 1)) + share;
    for (const i of tied) logprobs[i] = reference[i]! - Math.log(mass) + logMass;
    below = upTo;
    from = to;
  }
  return normalized(logprobs);
}
