export {
  type BestOfN,
  bestOfNExactly,
  bestOfNKlBound,
  bestOfNWinRateBound,
  calibratedExactly,
  winRate,
} from './best-of-n.js';
export { calibratedRewards, transformedRewards } from './calibration.js';
export { geometricMixture } from './mixture.js';
export { bestAndWorstRows, bestRows, type JudgedPairs, judgedPairs } from './rows.js';
