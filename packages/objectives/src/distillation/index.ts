export { type BalancedWeights, balancedKl } from './balanced-kl.js';
export { generalizedJsd } from './generalized-jsd.js';
export { type DistillationOptions, distillationLoss, type LogitBatch, type LogitLoss } from './logits.js';
export {
  type PlaceWeights,
  placeWeights,
  type RankingDistillation,
  type RankingDistillationLoss,
  type RankingDistillationOptions,
  rankingDistillation,
  rankingDistillationLoss,
} from './plackett-luce.js';
export { skewedForwardKl, skewedReverseKl } from './skewed-kl.js';
