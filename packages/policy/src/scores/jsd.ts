import { jensenShannon } from '../jensen-shannon.js';
import type { ScoreFamily } from '../score.js';

/**
 * Generalised Jensen-Shannon divergence, `jsd(b)` with 0 < b < 1. Agarwal et al. 2023, arXiv:2306.13649.
 *   D = b KL(q ‖ m) + (1-b) KL(p ‖ m),  m = (1-b) p + b q;   dlogits = g (1-b) p (log(p/m) - KL(p ‖ m))
 * It tends to 0 at both ends of b, b KL(q ‖ p) and (1-b) KL(p ‖ q): the ends themselves are `forwardKl` and `reverseKl`.
 */
export const jsd: ScoreFamily = { family: 'jsd', of: (b) => jensenShannon(`jsd(${b})`, b) };
