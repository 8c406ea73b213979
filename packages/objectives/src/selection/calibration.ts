/**
 * [rows]: calibrated rewards. The first step of InfAlign-CTRL, Balashankar et al. 2024, arXiv:2412.19792, from samples:
 *   C(x, y) = P_{z ~ π_ref(·|x)} (R(z) <= R(y))
 * `references` [rows] are the rewards of completions of the reference for each row's prompt, at least one. Calibrated
 * rewards of the reference itself are spread evenly over (0, 1], whatever the scale of the reward model is. A NaN reward
 * stays NaN; a NaN among the references is no sample.
 */
export function calibratedRewards(rewards: Float64Array, references: readonly ArrayLike<number>[]): Float64Array {
  if (references.length !== rewards.length) {
    throw new RangeError(
      `expected rewards of the reference for each of ${rewards.length} rows, got ${references.length}`,
    );
  }
  return rewards.map((reward, row) => {
    const samples = Array.from(references[row]!).filter((sample) => !Number.isNaN(sample));
    if (samples.length === 0)
      throw new RangeError(`row ${row}: expected at least one judged sample of the reference, got none`);
    return Number.isNaN(reward) ? Number.NaN : samples.filter((sample) => sample <= reward).length / samples.length;
  });
}

/**
 * The second step of InfAlign-CTRL: a transformation of calibrated rewards after which KL-regularised RL is best for what is
 * done at inference. Balashankar et al. 2024, arXiv:2412.19792.
 *   exponent > 0   e^{tC}     for best-of-n: what is high already counts most
 *   exponent < 0   -e^{tC}    for worst-of-n, a jailbreak that tries n times: what is low counts most
 *   exponent 0     C          for one draw: the win rate itself
 * That the transformations are exponential is told by the paper's abstract and text as far as known here; their constants
 * are not verified, so there is no default.
 */
export function transformedRewards(calibrated: Float64Array, exponent: number): Float64Array {
  if (!Number.isFinite(exponent)) throw new RangeError(`\`exponent\`: expected a finite number, got ${exponent}`);
  if (exponent === 0) return calibrated.slice();
  return calibrated.map((share) => Math.sign(exponent) * Math.exp(exponent * share));
}
