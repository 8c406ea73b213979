import { alphaDivergence } from '../divergences/alpha.js';
import type { Divergence } from '../divergences/divergence.js';
import type { scoreFamilies } from '../input.js';
import { generalizedJsd } from './generalized-jsd.js';
import { skewedForwardKl, skewedReverseKl } from './skewed-kl.js';

/** The divergence of each family of scores at a number: `alpha(0.3)`. */
export const familyDivergences: Readonly<Record<(typeof scoreFamilies)[number], (parameter: number) => Divergence>> = {
  alpha: alphaDivergence,
  jsd: generalizedJsd,
  skewForwardKl: skewedForwardKl,
  skewReverseKl: skewedReverseKl,
};
