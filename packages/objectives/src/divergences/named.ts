import type { Divergence, LinkDivergence } from './divergence.js';
import { forwardKl } from './forward-kl.js';
import { halfChi2PlusKl } from './half-chi2-plus-kl.js';
import { jensenShannon } from './jensen-shannon.js';
import { neymanChi2 } from './neyman-chi2.js';
import { pearsonChi2 } from './pearson-chi2.js';
import { reverseKl } from './reverse-kl.js';
import { squaredHellinger } from './squared-hellinger.js';
import { totalVariation } from './total-variation.js';

/** By the names of options: what can be a link, without a parameter. See `Divergence.link`. */
export const linksByName = {
  'reverse-kl': reverseKl,
  'forward-kl': forwardKl,
  js: jensenShannon,
  'half-chi2-plus-kl': halfChi2PlusKl,
  'squared-hellinger': squaredHellinger,
  'neyman-chi2': neymanChi2,
} as const satisfies Readonly<Record<string, LinkDivergence>>;

/** By the names of options: every divergence without a parameter. */
export const divergencesByName = {
  ...linksByName,
  'pearson-chi2': pearsonChi2,
  'total-variation': totalVariation,
} as const satisfies Readonly<Record<string, Divergence>>;
