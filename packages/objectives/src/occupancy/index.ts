export {
  type ActionDivergence,
  type ActionPenalty,
  actionDivergences,
  categoricalActionPenalty,
  discountedMean,
  type GaussianActions,
  type GaussianPenalty,
  gaussianActionPenalty,
} from './actions.js';
export { proportionalKlController, steppedKlController } from './controllers.js';
export {
  type CorrelationBound,
  coefficientSweep,
  correlationBound,
  occupancyCoefficient,
  type ProxyProblem,
} from './correlation-bound.js';
export {
  type DiscriminatorKind,
  type DiscriminatorLoss,
  type DiscriminatorRewards,
  discriminatorKinds,
  discriminatorLoss,
  discriminatorRewards,
  type PenaltyKind,
  type PenaltyOptions,
  penaltyKinds,
} from './discriminator.js';
export {
  type ExactOccupancy,
  exactOccupancy,
  type OccupancyDivergence,
  occupancyDivergences,
  type TableOccupancy,
  tableOccupancy,
} from './divergences.js';
export {
  type ImportanceEstimate,
  type ImportanceRows,
  importanceEstimate,
  importanceTerm,
  type MeanDivergence,
  type OccupancyRewardOptions,
  type OccupancyRewards,
  occupancyRewards,
  type WeightedTerm,
} from './importance.js';
export {
  type ExpectedPathwise,
  expectedPathwise,
  type OccupancyRows,
  type PathwiseOptions,
  type PathwisePenalty,
  type PathwiseTerms,
  pathwisePenalty,
  pathwiseTerms,
} from './pathwise.js';
