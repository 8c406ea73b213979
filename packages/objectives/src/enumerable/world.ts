import type { ListedWorld } from '../claims.js';
import { type Random, seeded } from '../testing/random.js';
import { normal, randomPolicy, sequenceLogprobs, type TablePolicy } from './policy.js';
import { enumerateSequences, type SequenceSpace, type SpaceOptions } from './space.js';

/** A prompt with all its completions, a reference policy and the true reward of each completion. */
export interface EnumerableWorld extends ListedWorld {
  readonly space: SequenceSpace;
  readonly referencePolicy: TablePolicy;
}

export interface WorldOptions extends SpaceOptions {
  readonly seed?: number;
  /** Standard deviation of the reference's logits. */
  readonly spread?: number;
  /** A completion's reward. Default: standard normal. */
  readonly reward?: (random: Random, tokens: Int32Array) => number;
}

/** A world drawn from a seed; rows of data are completions of the reference. */
export function enumerableWorld({
  seed = 0,
  spread = 1,
  reward = normal,
  ...options
}: WorldOptions = {}): EnumerableWorld {
  const random = seeded(seed);
  const space = enumerateSequences(options);
  const referencePolicy = randomPolicy(space, random, spread);
  const reference = sequenceLogprobs(referencePolicy);
  const rewards = Float64Array.from(reference, (_, i) =>
    reward(random, space.tokens.subarray(i * space.length, i * space.length + space.lengths[i]!)),
  );
  return { space, referencePolicy, reference, rewards, lengths: space.lengths, sampling: reference };
}
