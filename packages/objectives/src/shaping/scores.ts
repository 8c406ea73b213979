/**
 * What a completion gets that was cut off before its end token.
 *   subtract   its score less `penalty` (TRL's `missing_eos_penalty`)
 *   replace    `penalty` in place of its score (summarize_from_feedback_details: -1; OpenAI's `penalty_reward_value`)
 */
export interface MissingEos {
  readonly mode: 'subtract' | 'replace';
  readonly penalty: number;
}

export interface ScoreOptions {
  /** With `hasEos`. Absent: a cut completion keeps its score. */
  readonly missingEos?: MissingEos;
  /** Scores are held to ±clip, or to these bounds, after `missingEos`: 10 in trlX. Absent: none. */
  readonly clip?: number | readonly [least: number, most: number];
  /** Divides the scores last, without moving their mean: the deviation of a reference or of a running stream. */
  readonly scale?: number;
}

/** [rows]: the scores as they enter the rewards. `hasEos` is [rows], 1 where the completion ends with its end token. */
export function usedScores(
  { scores, hasEos }: { readonly scores: Float64Array; readonly hasEos?: Uint8Array },
  { missingEos, clip = Number.POSITIVE_INFINITY, scale = 1 }: ScoreOptions = {},
): Float64Array {
  if (missingEos && !hasEos) throw new RangeError('`hasEos`: expected a number per row with `missingEos`, got nothing');
  const [least, most] = typeof clip === 'number' ? [-clip, clip] : clip;
  return scores.map((score, row) => {
    const ended = missingEos === undefined || hasEos![row] === 1;
    const judged = ended ? score : missingEos.mode === 'replace' ? missingEos.penalty : score - missingEos.penalty;
    return Math.min(Math.max(judged, least), most) / scale;
  });
}

/**
 * DAPO's soft penalty of overlong completions, added to the score: 0 up to `limit - buffer` tokens, falling in a straight
 * line to -1 at `limit`, -1 beyond. Yu et al. 2025, arXiv:2503.14476, eq. 13.
 */
export function overlongPenalty(
  tokens: number,
  { limit, buffer }: { readonly limit: number; readonly buffer: number },
): number {
  return Math.max(Math.min((limit - buffer - tokens) / buffer, 0), -1);
}
