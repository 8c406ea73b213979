import { batchReward, hashedUniforms, type Reward, studentT } from '@kelpie/rewards';

/**
 * An error that a policy can learn, because completions share what it is made of: each pair of neighbouring words has a
 * draw of its own, of Student's t with variance 1 where it has one, the same wherever the pair stands.
 *   error(y) = Σ_i ε(word_i-1, word_i)/√words(y)        ε depends on the seed and the two words alone
 * Over the reference's completions that is about as wide as one draw. An empty completion has error 0.
 */
export function wordPairError({
  seed,
  degreesOfFreedom,
}: {
  readonly seed: number;
  /** Infinity is Gaussian. */
  readonly degreesOfFreedom: number;
}): Reward {
  const known = new Map<string, number>();
  const ofPair = (before: string, word: string): number => {
    const key = `${before} ${word}`;
    const found = known.get(key) ?? studentT(hashedUniforms(seed, before, word), degreesOfFreedom);
    known.set(key, found);
    return found;
  };
  const ofText = (text: string): number => {
    const words = text.split(/\s+/).filter((word) => word !== '');
    const sum = words.reduce((so, word, at) => so + ofPair(words[at - 1] ?? '', word), 0);
    return words.length === 0 ? 0 : sum / Math.sqrt(words.length);
  };
  return batchReward((rows) => rows.map(({ completion }) => ofText(completion)), { name: 'word pairs' });
}
