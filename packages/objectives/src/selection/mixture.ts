import { logSoftmax } from '../numerics.js';

/**
 * Log-probabilities of the next token, [vocabulary], under the geometric mixture of two policies: the opponent of Nash-MD,
 * Munos et al. 2023, arXiv:2312.00886, from whose policy at each prefix its completions are sampled token by token.
 *   log μ = (1-a) log π + a log π_ref + a constant;   a = `referenceShare`, 0.5 in TRL
 * A token that one of them rules out, with a share above 0, the mixture rules out.
 */
export function geometricMixture(
  logits: Float64Array,
  referenceLogits: Float64Array,
  referenceShare: number,
): Float64Array {
  if (!(referenceShare >= 0 && referenceShare <= 1)) {
    throw new RangeError(`\`referenceShare\`: expected a number in [0, 1], got ${referenceShare}`);
  }
  if (referenceShare === 0) return logSoftmax(logits);
  if (referenceShare === 1) return logSoftmax(referenceLogits);
  return logSoftmax(logits.map((logit, v) => (1 - referenceShare) * logit + referenceShare * referenceLogits[v]!));
}
