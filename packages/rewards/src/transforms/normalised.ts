import { addChunk, momentsOf, noMoments, type RunningMoments } from '@kelpie/objectives';
import { badOption } from '../error.js';
import { derived, type Reward } from '../reward.js';

export interface NormaliseOptions {
  readonly name?: string;
  /** `running`: of all judged so far, this call's among them (trlX). Or fixed ones, as `momentsOfRewards` measures them. */
  readonly by: 'running' | Pick<RunningMoments, 'mean' | 'deviation'>;
  /** False: only divides, so that 0 stays 0. Default true. */
  readonly shiftMean?: boolean;
}

/**
 * (R - mean)/deviation, or R/deviation. As long as all that was judged is the same, there is no deviation, and nothing is
 * divided. Running moments are in the state of the call: given back, and used when they are handed in again.
 */
export function normalised(
  reward: Reward,
  { name = `${reward.name}/normalised`, by, shiftMean = true }: NormaliseOptions,
): Reward {
  if (by !== 'running' && !(Number.isFinite(by.mean) && by.deviation > 0 && Number.isFinite(by.deviation)))
    throw badOption(name, 'by', 'a finite mean and a deviation above 0', by);
  return derived({
    name,
    members: [reward],
    combine([values], { state }) {
      const running = by === 'running' ? grown(state[name], judgedOf(values!)) : undefined;
      const { mean, deviation } = running ?? (by as RunningMoments);
      const scale = deviation > roundOff * Math.abs(mean) ? deviation : 1;
      return {
        rewards: values!.map((value) => (value - (shiftMean ? mean : 0)) / scale),
        ...(running && { state: { [name]: running } }),
      };
    },
  });
}

/** A deviation this small beside the mean is what rounding leaves of equal numbers. */
const roundOff = 1e-12;

/** Those that were judged. */
export const judgedOf = (rewards: Float64Array): Float64Array => rewards.filter((reward) => !Number.isNaN(reward));

/** Mean and deviation of rewards, of the reference's completions, say. Those that were not judged are left out. */
export function momentsOfRewards(rewards: Float64Array): RunningMoments {
  return grown(undefined, judgedOf(rewards));
}

/** The first chunk starts the stream, so that equal rewards have a deviation of 0. */
function grown(moments: RunningMoments | undefined, chunk: Float64Array): RunningMoments {
  if (moments !== undefined && moments.count >= 1) return addChunk(moments, chunk);
  const count = chunk.length;
  if (count === 0) return noMoments;
  const { mean, variance } = momentsOf(chunk, false);
  return { mean, variance, deviation: count > 1 ? Math.sqrt((variance * count) / (count - 1)) : 0, count };
}
