import { forwardKlDiverse, jensenShannonDiverse, reverseKlAccurate } from './f-dpo.js';
import type { NamedOrdering } from './ordering.js';
import { gaussianProxy, heavyTailedProxy } from './proxy.js';
import { dpoAbovePpo, moreDataHigherPeak } from './reward-model.js';
import { alphaZeroIsDpo, sequentialKlChains } from './tdpo.js';

export type { NamedOrdering, Ordering } from './ordering.js';

/** What papers report of one objective against another, looked for on enumerable worlds. */
export const orderings: readonly NamedOrdering[] = [
  forwardKlDiverse,
  reverseKlAccurate,
  sequentialKlChains,
  alphaZeroIsDpo,
  heavyTailedProxy,
  gaussianProxy,
  moreDataHigherPeak,
  dpoAbovePpo,
  jensenShannonDiverse,
];
