import { momentsOf } from '../advantages/whiten.js';

/** Mean and variance of a stream of numbers, chunk by chunk: what scores are divided by. A value, plain JSON. */
export interface RunningMoments {
  readonly mean: number;
  /** By n. */
  readonly variance: number;
  /** √(variance n/(n - 1)); 1 before anything came, 0 after a single number. */
  readonly deviation: number;
  readonly count: number;
}

/** Before the first chunk: the count is next to nothing rather than 0, as in trlX and TRL, so that nothing divides by 0. */
export const noMoments: RunningMoments = { mean: 0, variance: 1, deviation: 1, count: 1e-24 };

/** The moments of the stream with one more chunk. Chan, Golub and LeVeque 1979, as trlX and TRL's BCO have it. */
export function addChunk(moments: RunningMoments, chunk: Float64Array): RunningMoments {
  if (chunk.length === 0) return moments;
  const added = momentsOf(chunk, false);
  const count = moments.count + chunk.length;
  const shift = added.mean - moments.mean;
  const squares =
    added.variance * chunk.length +
    moments.variance * moments.count +
    (shift * shift * moments.count * chunk.length) / count;
  const variance = squares / count;
  return {
    mean: moments.mean + (shift * chunk.length) / count,
    variance,
    deviation: count > 1 ? Math.sqrt((variance * count) / (count - 1)) : 0,
    count,
  };
}
