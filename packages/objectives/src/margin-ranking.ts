export interface MarginRankingOptions {
  readonly margin: number;
  readonly reduction: 'offset-mean' | 'pair-sum';
  readonly goldWeight: number;
  readonly goldMargin: number;
}

export interface MarginRanking {
  readonly loss: number;
  /** [candidates]: d loss / d score. */
  readonly slopes: Float64Array;
  /** [gold answers] */
  readonly goldSlopes: Float64Array;
}

/**
 * Margins of one ranking, candidates best first. Liu et al. 2022, arXiv:2203.16804.
 *   L = Σ_{i<j} w_{j-i} max(0, S_j - S_i + (j-i) margin) + goldWeight Σ_i w max(0, S_i - S_gold + goldMargin)
 * w = 1 (`pair-sum`); 1/(K-d) at distance d and 1/K against the gold answer (`offset-mean`).
 */
export function marginRanking(
  scores: readonly number[],
  gold: readonly number[],
  { margin, reduction, goldWeight, goldMargin }: MarginRankingOptions,
): MarginRanking {
  const slopes = new Float64Array(scores.length);
  const goldSlopes = new Float64Array(gold.length);
  const share = (pairs: number) => (reduction === 'pair-sum' ? 1 : 1 / pairs);
  let loss = 0;
  for (let better = 0; better < scores.length; better++) {
    for (let worse = better + 1; worse < scores.length; worse++) {
      const distance = worse - better;
      const gap = scores[worse]! - scores[better]! + distance * margin;
      if (gap <= 0) continue;
      const weight = share(scores.length - distance);
      loss += weight * gap;
      slopes[worse]! += weight;
      slopes[better]! -= weight;
    }
  }
  gold.forEach((goldScore, at) => {
    scores.forEach((score, candidate) => {
      const gap = score - goldScore + goldMargin;
      if (gap <= 0) return;
      const weight = goldWeight * share(scores.length);
      loss += weight * gap;
      slopes[candidate]! += weight;
      goldSlopes[at]! -= weight;
    });
  });
  return { loss, slopes, goldSlopes };
}
