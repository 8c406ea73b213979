import { logSoftmax } from '../numerics.js';
import { klAdvantages } from '../sampled-kl.js';

/**
 * [outcomes]: the expected gradient at the logits of `hypo`'s term, mean_i stopgrad(A_i) log π(y_i) over groups of
 * `groupSize` independent draws of the policy, A of `klAdvantages`; by enumeration of all outcomes^groupSize groups. It
 * is the gradient of KL(π ‖ π_ref) whatever the group's size. Outcomes that the policy cannot draw are in no group.
 */
export function expectedKlGradient(
  logits: Float64Array,
  referenceLogits: Float64Array,
  groupSize: number,
): Float64Array {
  if (!(Number.isInteger(groupSize) && groupSize >= 1)) {
    throw new RangeError(`groupSize: expected a whole number from 1, got ${groupSize}`);
  }
  const policy = logSoftmax(logits);
  const reference = logSoftmax(referenceLogits);
  const possible = Array.from(policy.keys()).filter((outcome) => policy[outcome]! > Number.NEGATIVE_INFINITY);
  const groups = new Int32Array(groupSize);
  const gradient = new Float64Array(logits.length);
  for (let index = 0; index < possible.length ** groupSize; index++) {
    const draws = drawsOf(index, possible, groupSize);
    const mass = Math.exp(draws.reduce((sum, outcome) => sum + policy[outcome]!, 0));
    const advantages = klAdvantages(
      Float64Array.from(draws, (outcome) => policy[outcome]! - reference[outcome]!),
      groups,
    );
    draws.forEach((outcome, at) => {
      const weight = (mass * advantages[at]!) / groupSize;
      gradient[outcome]! += weight;
      for (const other of possible) gradient[other]! -= weight * Math.exp(policy[other]!);
    });
  }
  return gradient;
}

/** The digits of an index, as outcomes. */
function drawsOf(index: number, possible: readonly number[], groupSize: number): number[] {
  return Array.from(
    { length: groupSize },
    (_, at) => possible[Math.floor(index / possible.length ** at) % possible.length]!,
  );
}
