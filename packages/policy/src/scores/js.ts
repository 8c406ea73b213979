import { jensenShannon } from '../jensen-shannon.js';

/**
 * The Jensen-Shannon divergence as f-DPO has it, twice `jsd(0.5)`. Wang et al. 2023, arXiv:2309.16240.
 *   D = KL(p ‖ m) + KL(q ‖ m),  m = (p + q)/2;   dlogits = g p (log(p/m) - KL(p ‖ m))
 */
export const js = jensenShannon('js', 0.5, 2);
