import { cispo, grpo, type Objective, onHighEntropy, rloo, sapo, vespo } from '@kelpie/objectives';
import type { Fields } from '../fields.js';
import { type Advantage, clippedLeaveOneOut, normalizedFirst, summedFirst } from './advantages.js';

/** What a trainer on rollouts does with one, said in options of ours. */
export interface OnlineConvention {
  readonly objective: Objective;
  /** `onPolicy`, which takes no log-probabilities of the policy that sampled, is decided by the rollouts. */
  readonly objectiveOptions: Readonly<Record<string, unknown>>;
  readonly advantage: Advantage;
  /** Weight of the divergence from the reference that is taken off the rewards. */
  readonly klCoef: number;
  /** Of the rewards; absent: 1 each. */
  readonly weights: readonly number[] | undefined;
  readonly temperature: number;
  readonly group: number;
  /** A rollout has so many micro-batches, and is gone through so many times. */
  readonly microBatches: number;
  readonly iterations: number;
  /** What a micro-batch's mean is over: its own share of the step, or the tokens of the rollout. */
  readonly average: 'micro-batches' | 'rollout tokens';
  /** Rows that are left out count with a ratio of 1 in the logged loss. */
  readonly countsMasked: boolean;
  /** By TRL's name of a metric, ours, where another than its own. */
  readonly metricNames: Readonly<Record<string, string>>;
}

const clipped = ['grpo', 'bnpo', 'dr_grpo', 'dapo', 'luspo'] as const;
const aggregations = { grpo: 'rows', bnpo: 'tokens', dr_grpo: 'constant', dapo: 'tokens', luspo: 'sums' } as const;
const overRollout = ['dapo', 'cispo', 'vespo'];

/** Each loss type has its mean; clip, level of the ratio, KL and entropy quantile go with any. */
export function readGrpo(options: Fields): OnlineConvention {
  const loss = options.choice('loss_type', [...clipped, 'sapo', 'cispo', 'vespo'] as const);
  const corrected = options.boolean('use_bias_correction_kl');
  const epsilon = options.number('epsilon');
  const high = options.nullable('epsilon_high', options.number) ?? epsilon;
  const cap = options.nullable('delta', options.number) ?? 0;
  const budget = options.number('max_completion_length');
  const shared = {
    beta: options.number('beta'),
    klImportance: corrected ? 'live' : 'none',
    importance: levels[options.choice('importance_sampling_level', ['token', 'sequence'] as const)],
  };
  const gates = {
    temperaturePositive: options.number('sapo_temperature_pos'),
    temperatureNegative: options.number('sapo_temperature_neg'),
  };
  const bump = readVespo(options);
  const surrogate = (name: (typeof clipped)[number]) => ({
    objective: grpo as unknown as Objective,
    objectiveOptions: {
      ...{ ...shared, clipRangeLow: epsilon, clipRangeHigh: high, ratioCap: cap },
      ...{ aggregation: aggregations[name], tokenBudget: budget },
    },
  });
  const others = {
    sapo: { objective: sapo as unknown as Objective, objectiveOptions: { ...shared, ...gates } },
    cispo: { objective: cispo as unknown as Objective, objectiveOptions: { ...shared, ratioMax: high } },
    vespo: { objective: vespo as unknown as Objective, objectiveOptions: { ...shared, ...bump } },
  };
  const chosen = loss in others ? others[loss as keyof typeof others] : surrogate(loss as (typeof clipped)[number]);
  return {
    ...onEntropy(chosen, options.number('top_entropy_quantile')),
    ...readAdvantage(options),
    klCoef: 0,
    ...readRollouts(options),
    average: overRollout.includes(loss) ? 'rollout tokens' : 'micro-batches',
    countsMasked: false,
    metricNames: corrected ? { kl: 'kl/weighted' } : {},
  };
}

const levels = { token: 'token', sequence: 'row-mean' } as const;

/** Of the other loss types a file says nothing of these. */
function readVespo(options: Fields) {
  const given = (name: string, read: string) => (options.has(name) ? { [read]: options.number(name) } : {});
  return {
    ...given('vespo_k_pos', 'powerPositive'),
    ...given('vespo_lambda_pos', 'decayPositive'),
    ...given('vespo_k_neg', 'powerNegative'),
    ...given('vespo_lambda_neg', 'decayNegative'),
  };
}

/** The options are bound late: whether the rows are on policy depends on the rollouts. */
function onEntropy(
  chosen: Pick<OnlineConvention, 'objective' | 'objectiveOptions'>,
  share: number,
): Pick<OnlineConvention, 'objective' | 'objectiveOptions'> {
  return share < 1 ? { ...chosen, objective: deferred(chosen.objective, share) } : chosen;
}

function deferred(objective: Objective, share: number): Objective {
  const bind = (options: Partial<Record<string, unknown>> = {}) => onHighEntropy({ objective, options }, share);
  return {
    ...objective,
    separable: false,
    needsOf: (options) => bind(options).needsOf(),
    evaluate: (input, options) => bind(options).evaluate(input),
  };
}

function readAdvantage(options: Fields): Pick<OnlineConvention, 'advantage' | 'weights'> {
  const scale = options.choice('scale_rewards', ['group', 'batch', 'none'] as const);
  const weights = options.nullable('reward_weights', options.numbers);
  const order = options.choice('multi_objective_aggregation', ['sum_then_normalize', 'normalize_then_sum'] as const);
  const advantage = order === 'normalize_then_sum' ? normalizedFirst(weights) : summedFirst(scale, weights);
  return { advantage, weights };
}

/** Ratios of whole completions; the divergence goes into the rewards. */
export function readRloo(options: Fields): OnlineConvention {
  const epsilon = options.number('epsilon');
  const high = options.nullable('epsilon_high', options.number) ?? epsilon;
  options.number('max_completion_length');
  const klCoef = options.number('beta');
  const weights = options.nullable('reward_weights', options.numbers);
  return {
    objective: rloo as unknown as Objective,
    objectiveOptions: { clipRangeLow: epsilon, clipRangeHigh: high },
    advantage: clippedLeaveOneOut({
      weights,
      range: options.nullable('reward_clip_range', options.numbers),
      normalize: options.boolean('normalize_advantages'),
      klCoef,
    }),
    klCoef,
    weights,
    ...readRollouts(options),
    average: 'micro-batches',
    countsMasked: true,
    metricNames: {},
  };
}

function readRollouts(options: Fields) {
  // Which rows it left out is in the rows.
  options.boolean('mask_truncated_completions');
  return {
    temperature: options.number('temperature'),
    group: options.number('num_generations'),
    microBatches: options.number('steps_per_generation'),
    iterations: options.number('num_iterations'),
  };
}
