import { bestOfNBounds } from './best-of-n.js';
import type { NamedCheck } from './check.js';
import { klEstimatorsDescend, klEstimatorsInRewards } from './estimators.js';
import { correlationBoundHolds, faithfulOccupancy, occupancyInRewards, publishedOccupancy } from './occupancy.js';
import { bestOnItsOwn, firstOrder } from './optima.js';

export type { NamedCheck, TheoryCheck } from './check.js';

/** What theory says of optima, bounds and estimators, each checked over 20 seeds. */
export const theoryChecks: readonly NamedCheck[] = [
  firstOrder,
  bestOnItsOwn,
  bestOfNBounds,
  klEstimatorsDescend,
  klEstimatorsInRewards,
  correlationBoundHolds,
  publishedOccupancy,
  faithfulOccupancy,
  occupancyInRewards,
];
