/**
 * Expected calibration error: how far confidences are from how often they are right, over bins of equal width from `least`
 * to 1.
 *   Σ_bin n_bin/n |mean correct - mean confidence|
 * Naeini, Cooper and Hauskrecht 2015; on networks Guo et al. 2017, arXiv:1706.04599, eq. 3. `correct` holds 1 and 0; 0 of
 * no rows.
 */
export function expectedCalibrationError(
  confidences: Float64Array,
  correct: Float64Array,
  { bins = 10, least = 0 }: { readonly bins?: number; readonly least?: number } = {},
): number {
  const gaps = new Float64Array(bins);
  confidences.forEach((confidence, row) => {
    const bin = Math.floor(((confidence - least) / (1 - least)) * bins);
    gaps[Math.min(Math.max(bin, 0), bins - 1)]! += correct[row]! - confidence;
  });
  return gaps.reduce((sum, gap) => sum + Math.abs(gap), 0) / Math.max(1, confidences.length);
}

/**
 * Of pairwise preferences by the margins of their rewards, chosen minus rejected: σ(|margin|) is how sure the rewards are
 * of one side, from 0.5, and they are right where the margin is above 0.
 */
export function preferenceCalibrationError(margins: Float64Array, bins = 10): number {
  const confidences = margins.map((margin) => 1 / (1 + Math.exp(-Math.abs(margin))));
  const correct = margins.map((margin) => Number(margin > 0));
  return expectedCalibrationError(confidences, correct, { bins, least: 0.5 });
}
