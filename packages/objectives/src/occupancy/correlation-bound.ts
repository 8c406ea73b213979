import { pearsonChi2 } from '../divergences/index.js';
import { logSumExp } from '../enumerable/index.js';

/** A policy and its reference over the same outcomes (completions of a prompt, or state-action pairs), with two rewards. */
export interface ProxyProblem {
  /** [outcomes]: log of the policy's occupancy, normalised; -Infinity where it has none. */
  readonly policy: Float64Array;
  /** [outcomes]: log of the reference's. */
  readonly reference: Float64Array;
  /** [outcomes] */
  readonly trueRewards: Float64Array;
  /** [outcomes] */
  readonly proxyRewards: Float64Array;
}

export interface CorrelationBound {
  /** Pearson's correlation r of proxy and true reward under the reference; NaN where one of them is constant there. */
  readonly correlation: number;
  /** Standard deviations under the reference, in units of each reward. */
  readonly trueStd: number;
  readonly proxyStd: number;
  /** χ²(policy ‖ reference); Infinity where the policy goes where the reference does not. */
  readonly chi2: number;
  /** What the policy gains of the true reward over the reference, in standard deviations. */
  readonly trueGain: number;
  /** What it gains of the proxy, in standard deviations of that. */
  readonly proxyGain: number;
  /** Below this `trueGain` cannot be. -Infinity where the correlation is not positive: then nothing follows. */
  readonly bound: number;
  /** Weight of the root of χ² under which maximising the proxy maximises the bound: `occupancyCoefficient`. */
  readonly coefficient: number;
}

/**
 * How much of a gain in a proxy reward must be a gain in the true one. Laidlaw et al. 2024, arXiv:2403.03185, theorem 5.1.
 *   (J(π,R) - J(ref,R))/σ >= (1/r) [ (J(π,R~) - J(ref,R~))/σ~ - sqrt((1-r²) χ²(π ‖ ref)) ]        r > 0
 * with R the true reward, R~ the proxy, r their correlation and σ, σ~ their standard deviations, all under the reference.
 * Standardised, R~ = r R + sqrt(1-r²) Z with Z uncorrelated to R, and E_π Z <= sqrt(χ²) by Cauchy and Schwarz.
 */
export function correlationBound({ policy, reference, trueRewards, proxyRewards }: ProxyProblem): CorrelationBound {
  const lengths = [policy, reference, trueRewards, proxyRewards].map((values) => values.length);
  if (new Set(lengths).size !== 1) throw new RangeError(`expected as many of each outcome, got ${lengths.join(', ')}`);
  for (const [name, logprobs] of Object.entries({ policy, reference })) {
    const sum = Math.exp(logSumExp(logprobs));
    if (!(Math.abs(sum - 1) < 1e-6))
      throw new RangeError(`\`${name}\`: expected a sum of probabilities of 1, got ${sum}`);
  }
  const moments = [trueRewards, proxyRewards].map((rewards) => {
    const mean = meanUnder(reference, (i) => rewards[i]!);
    const std = Math.sqrt(meanUnder(reference, (i) => (rewards[i]! - mean) ** 2));
    return { mean, std, gain: meanUnder(policy, (i) => rewards[i]! - mean) / std };
  });
  const [ofTrue, ofProxy] = moments as [(typeof moments)[0], (typeof moments)[0]];
  const covariance = meanUnder(reference, (i) => (trueRewards[i]! - ofTrue.mean) * (proxyRewards[i]! - ofProxy.mean));
  const correlation = covariance / (ofTrue.std * ofProxy.std);
  const chi2 = pearsonChi2.exact(policy, reference).value;
  const lost = correlation >= 1 ? 0 : Math.sqrt((1 - correlation ** 2) * chi2);
  return {
    correlation,
    trueStd: ofTrue.std,
    proxyStd: ofProxy.std,
    chi2,
    trueGain: ofTrue.gain,
    proxyGain: ofProxy.gain,
    bound: correlation > 0 ? (ofProxy.gain - lost) / correlation : Number.NEGATIVE_INFINITY,
    coefficient: occupancyCoefficient(ofProxy.std, correlation),
  };
}

/**
 * λ = σ~ sqrt(1-r²): what to weigh sqrt(χ²) with, so that J(π,R~) - λ sqrt(χ²) is σ~ r times the bound on the true gain.
 * `proxyStd` is of the proxy under the reference, `correlation` of proxy and true reward there, as far as it can be guessed.
 * For χ² itself no coefficient serves every policy: its own absorbs 2 sqrt(χ²).
 */
export function occupancyCoefficient(proxyStd: number, correlation: number): number {
  return proxyStd * Math.sqrt(Math.max(0, 1 - correlation ** 2));
}

/** Multiples of the proxy's standard deviation that the authors swept, largest first. */
const swept = [1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01];

/** The authors' sweep of coefficients outside language models: multiples of the proxy's standard deviation. */
export function coefficientSweep(proxyStd: number): number[] {
  return swept.map((multiple) => multiple * proxyStd);
}

function meanUnder(logprobs: Float64Array, value: (outcome: number) => number): number {
  return logprobs.reduce(
    (sum, logprob, i) => (logprob === Number.NEGATIVE_INFINITY ? sum : sum + Math.exp(logprob) * value(i)),
    0,
  );
}
