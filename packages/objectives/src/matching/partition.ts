import { logSumExp } from '../enumerable/index.js';

/**
 * log Z of an unnormalised target P from samples of a proposal, in nats: log mean P(y)/proposal(y). Khalifa et al. 2020,
 * arXiv:2012.11635. Consistent; its exponential is unbiased. `targetLogScores` and `proposalLogprobs` are [samples].
 */
export function estimatedLogPartition(targetLogScores: Float64Array, proposalLogprobs: Float64Array): number {
  if (targetLogScores.length === 0) throw new RangeError('expected at least one sample, got none');
  return logSumExp(targetLogScores.map((score, i) => score - proposalLogprobs[i]!)) - Math.log(targetLogScores.length);
}

/** The last numbers of a stream and their mean. A value: `add` gives the next one. */
export interface MovingMean {
  /** 0 before anything came. */
  readonly mean: number;
  add(values: ArrayLike<number>): MovingMean;
}

/** Mean of the last `size` numbers: f-DPG's baseline of pseudo-rewards, 1024 in disco. */
export function movingMean(size = 1024, kept: readonly number[] = []): MovingMean {
  return {
    mean: kept.length === 0 ? 0 : kept.reduce((sum, value) => sum + value, 0) / kept.length,
    add: (values) => movingMean(size, [...kept, ...Array.from(values)].slice(-size)),
  };
}
