/** What becomes of items of the same rank. */
export type Ties = 'strict' | 'breslow';

export interface PlackettLuceOptions {
  /** Only items with fewer than this many above them give a term; 0: all. */
  readonly topK: number;
  /** Whether tied items stay out of each other's pool, or stand in it. */
  readonly ties: Ties;
}

export interface ListLoss {
  readonly loss: number;
  /** [items]: d loss / d score. */
  readonly slopes: Float64Array;
}

/**
 * Negative log-likelihood of a ranking, item after item drawn from those that are left. Plackett 1975.
 *   L = Σ_i log Σ_{j in pool(i)} e^{s_j - s_i}
 *   dL/ds_j = Σ_{i: j in pool(i)} softmax_pool(i)(s)_j - 1[j gives a term]
 * pool(i) is i and everything ranked strictly below it; `breslow` also puts in what ties with i. An item with nothing
 * strictly below gives no term, nor does one of negative rank, which stands in no pool either.
 */
export function plackettLuceLoss(
  scores: ArrayLike<number>,
  ranks: ArrayLike<number>,
  { topK, ties }: PlackettLuceOptions,
): ListLoss {
  const items = Array.from({ length: scores.length }, (_, item) => item).filter((item) => ranks[item]! >= 0);
  const slopes = new Float64Array(scores.length);
  let loss = 0;
  for (const item of items) {
    const worse = items.filter((other) => ranks[other]! > ranks[item]!);
    const above = items.filter((other) => ranks[other]! < ranks[item]!).length;
    if (worse.length === 0 || (topK > 0 && above >= topK)) continue;
    const tied = items.filter((other) => other !== item && ranks[other] === ranks[item]);
    const others = ties === 'breslow' ? [...worse, ...tied] : worse;
    const gaps = others.map((other) => scores[other]! - scores[item]!);
    const term = logOnePlusSumExp(gaps);
    loss += term;
    slopes[item]! += Math.exp(-term) - 1;
    others.forEach((other, at) => {
      slopes[other]! += Math.exp(gaps[at]! - term);
    });
  }
  return { loss, slopes };
}

/** log(1 + Σ e^{x_i}): softplus of several numbers. */
export function logOnePlusSumExp(values: readonly number[]): number {
  const most = Math.max(0, ...values);
  const sum = values.reduce((so, value) => so + Math.exp(value - most), 0);
  return most === 0 ? Math.log1p(sum) : most + Math.log(sum + Math.exp(-most));
}

/** How often the better of two ranked items scores strictly more, over all pairs of different rank. */
export function orderedPairs(scores: ArrayLike<number>, ranks: ArrayLike<number>): { sum: number; count: number } {
  let [sum, count] = [0, 0];
  for (let better = 0; better < ranks.length; better++) {
    for (let worse = 0; worse < ranks.length; worse++) {
      if (ranks[better]! < 0 || ranks[better]! >= ranks[worse]!) continue;
      count++;
      if (scores[better]! > scores[worse]!) sum++;
    }
  }
  return { sum, count };
}
