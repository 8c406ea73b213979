import { rowsByGroup } from './advantages/index.js';

/**
 * [rows]: what each sampled completion's log-probability is weighed with, so that the expected gradient of
 * mean_i stopgrad(A_i) log π(y_i) over samples of the policy is that of KL(π ‖ π_ref):
 *   A_i = r_i - mean of the other r_j of its group,   r = log π(y) - log π_ref(y), summed over tokens
 * A completion alone in its group has no baseline: A = r. Song et al. 2024, arXiv:2406.01462, after Ahmadian et al.
 * 2024, arXiv:2402.14740.
 */
export function klAdvantages(logratios: Float64Array, groups: Int32Array): Float64Array {
  const advantages = new Float64Array(logratios.length);
  for (const rows of rowsByGroup(groups)) {
    const sum = rows.reduce((so, row) => so + logratios[row]!, 0);
    for (const row of rows) {
      const own = logratios[row]!;
      advantages[row] = rows.length === 1 ? own : own - (sum - own) / (rows.length - 1);
    }
  }
  return advantages;
}
