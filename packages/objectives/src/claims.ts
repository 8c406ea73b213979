import type { Divergence } from './divergences/index.js';
import { optimalPolicy } from './enumerable/optimum.js';
import { logSumExp, normalized } from './enumerable/policy.js';
import { rootBetween } from './enumerable/solve.js';
import { sigmoid } from './numerics.js';

/** All completions of one prompt, each [completions]: what a claim is stated on. */
export interface ListedWorld {
  /** log π_ref, normalised. */
  readonly reference: Float64Array;
  /** True rewards; completion i is preferred to j with probability σ(r_i - r_j). Bradley and Terry 1952. */
  readonly rewards: Float64Array;
  /** Tokens of each. */
  readonly lengths: Float64Array;
  /** log-probability with which a completion is drawn into a row of data. */
  readonly sampling: Float64Array;
}

/** The policy at which an objective comes to rest when it sees every row as often as the world has it. */
export interface Optimum {
  readonly formula: string;
  /** [completions]: log π, up to a constant. */
  logprobs(world: ListedWorld): Float64Array;
  /** Share of preferences that are turned round in the data of which this holds. Default 0. */
  readonly labelNoise?: number;
}

/** A functional of the policy, told by its first variation. */
export interface Descent {
  readonly formula: string;
  /** [completions]: d functional / d π(y), up to a constant. Its gradient is Σ_y π(y) variation(y) ∇log π(y). */
  variation(world: ListedWorld, logprobs: Float64Array): Float64Array;
  /** Holds where completions are one token long: estimates per token leave out what a token does to later ones. */
  readonly oneToken?: boolean;
  /** Holds where all rows are the policy's own: `perRow.external` is 0. */
  readonly ownRows?: boolean;
}

/** What an objective promises beyond its gradient, for a certificate to hold it to. */
export interface Claims {
  /** Absent: no closed form; a certificate then checks stationarity. */
  readonly optimum?: Optimum;
  /** What its gradient is on average over samples of the policy itself: exactly, every weight and divisor included. */
  readonly descends?: Descent;
  /** What `perRow.rewards` hold: rewards, or the probability to be preferred to a completion of the data. */
  readonly rewardsAre?: 'rewards' | 'win-rates';
  /** Adding a number to all rewards of a prompt changes no gradient. */
  readonly rewardShift?: boolean;
}

/** π ∝ π_ref e^{r/beta}, the optimum of reward minus beta KL(π ‖ π_ref). */
export function gibbs(beta: number, labelNoise = 0): Optimum {
  return {
    formula: 'π_ref e^{r/beta}',
    labelNoise,
    logprobs: ({ reference, rewards }) => rewards.map((reward, i) => reference[i]! + reward / beta),
  };
}

/** The optimum of reward minus beta D_f(π ‖ π_ref): beta f'(π/π_ref) = r - λ. Wang et al. 2023, arXiv:2309.16240. */
export function fOptimum(divergence: Divergence, beta: number): Optimum {
  return {
    formula: `beta f'(π/π_ref) = r - λ, f of ${divergence.name}`,
    logprobs: ({ reference, rewards }) => optimalPolicy({ reference, rewards, divergence, beta }),
  };
}

/** [completions]: how often each is preferred to a completion drawn like the data. */
export function winRates({ rewards, sampling }: ListedWorld): Float64Array {
  return rewards.map((reward) =>
    sampling.reduce((sum, logprob, j) => sum + Math.exp(logprob) * sigmoid(reward - rewards[j]!), 0),
  );
}

/** π ∝ π_ref e^{w/tau} with w the win rate: what regression onto preferences comes to. Azar et al. 2023, arXiv:2310.12036. */
export function winRateGibbs(tau: number): Optimum {
  return {
    formula: 'π_ref e^{w/tau}, w the win rate',
    logprobs: (world) => winRates(world).map((rate, i) => world.reference[i]! + rate / tau),
  };
}

/**
 * Regression of each side's logratio onto ±1/(2 beta). On rows of the reference the expected loss is
 * 2 Σ_y π_ref(y) (Δ - a)² and a constant, a = (w - 1/2)/beta, w the win rate. As probabilities sum to 1, it is least where
 * Δ - a = -λ π/π_ref; λ is not negative, for Σ π_ref e^a is at least e^0. Wu et al. 2024, arXiv:2405.00675.
 */
export function winRateRegression(beta: number): Optimum {
  return {
    formula: 'log(π/π_ref) = (w - 1/2)/beta - λ π/π_ref, w the win rate',
    logprobs(world) {
      const { reference } = world;
      const targets = winRates(world).map((rate) => (rate - 0.5) / beta);
      const far = Math.max(...targets);
      if (!(far > 0)) return reference;
      const at = (size: number) => targets.map((target, i) => reference[i]! + heldBack(target, size));
      return at(rootBetween((size) => logSumExp(at(size)), -far - 50, Math.log1p(far)));
    },
  };
}

/** Δ of Δ + λ e^Δ = target, size the log of λ. */
function heldBack(target: number, size: number): number {
  const excess = (delta: number) => delta + Math.exp(size + delta) - target;
  return rootBetween(excess, Math.min(target, -size) - 1, target);
}

/** log(π/π_ref)/n = r/beta + c: losses of averaged logratios, c from the sum of all probabilities. */
export function lengthGibbs(beta: number): Optimum {
  return {
    formula: 'π_ref e^{n (r/beta + c)}, n the length',
    logprobs: ({ reference, rewards, lengths }) =>
      perTokenNormalized(
        reference,
        rewards.map((reward) => reward / beta),
        lengths,
      ),
  };
}

/** log(π/π_ref)/n = w/tau + c: regression of averaged logratios onto preferences. */
export function lengthWinRateGibbs(tau: number): Optimum {
  return {
    formula: 'π_ref e^{n (w/tau + c)}, n the length, w the win rate',
    logprobs: (world) =>
      perTokenNormalized(
        world.reference,
        winRates(world).map((rate) => rate / tau),
        world.lengths,
      ),
  };
}

/** π ∝ e^{r/beta}: a margin of log-probabilities, without a reference. */
export function softmaxOfRewards(beta: number): Optimum {
  return { formula: 'e^{r/beta}', logprobs: ({ rewards }) => rewards.map((reward) => reward / beta) };
}

/** log π = n (r/beta + c): a margin of averaged log-probabilities, without a reference. */
export function lengthSoftmaxOfRewards(beta: number): Optimum {
  return {
    formula: 'e^{n (r/beta + c)}, n the length',
    logprobs: ({ rewards, lengths }) =>
      perTokenNormalized(
        rewards.map(() => 0),
        rewards.map((reward) => reward / beta),
        lengths,
      ),
  };
}

/** The data themselves: what likelihood comes to. */
export const dataDistribution: Optimum = {
  formula: 'the distribution of the rows',
  logprobs: ({ sampling }) => sampling,
};

/** base_i + n_i (x_i + c), with c such that the probabilities sum to 1. */
function perTokenNormalized(base: Float64Array, x: Float64Array, lengths: Float64Array): Float64Array {
  const at = (c: number) => base.map((logprob, i) => logprob + lengths[i]! * (x[i]! + c));
  const excess = (c: number) => logSumExp(at(c));
  const far = 1 + x.reduce((most, value) => Math.max(most, Math.abs(value)), 0) + Math.abs(excess(0));
  return at(rootBetween(excess, -far, far));
}

/** -E_π r. */
export const negativeReward: Descent = {
  formula: '-E_π r',
  variation: ({ rewards }) => rewards.map((reward) => -reward),
};

/** D_f(π ‖ π_ref). */
export function divergenceDescent(divergence: Divergence): Descent {
  return {
    formula: `D(π ‖ π_ref), ${divergence.name}`,
    variation: ({ reference }, logprobs) =>
      logprobs.map((logprob, i) => divergence.derivative(logprob - reference[i]!)),
  };
}

/** [completions]: log of the distribution that `perRow.targetLogScores` are of: π_ref e^r, normalised. */
export function targetLogprobs({ reference, rewards }: Pick<ListedWorld, 'reference' | 'rewards'>): Float64Array {
  return normalized(reference.map((logprob, i) => logprob + rewards[i]!));
}

/**
 * A functional by the mean length, what a mean over tokens makes of a mean of sums. The step lists each completion once,
 * with its probability as a weight, so that the mean length is that of the list.
 */
export function perToken(of: Descent): Descent {
  return {
    ...of,
    formula: `(${of.formula}) / mean length`,
    variation(world, logprobs) {
      const tokens = world.lengths.reduce((sum, length) => sum + length, 0);
      return of.variation(world, logprobs).map((value) => (value * world.lengths.length) / tokens);
    },
  };
}

/** A weighted sum of functionals. */
export function sumOfDescents(terms: readonly { readonly weight: number; readonly of: Descent }[]): Descent {
  return {
    ...(terms.some(({ of }) => of.oneToken) && { oneToken: true }),
    ...(terms.some(({ of }) => of.ownRows) && { ownRows: true }),
    formula: terms.map(({ weight, of }) => (weight === 1 ? of.formula : `${weight} (${of.formula})`)).join(' + '),
    variation(world, logprobs) {
      const parts = terms.map(({ weight, of }) => of.variation(world, logprobs).map((value) => weight * value));
      return logprobs.map((_, i) => parts.reduce((sum, part) => sum + part[i]!, 0));
    },
  };
}
