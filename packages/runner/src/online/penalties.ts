import {
  type Grid,
  getObjective,
  type KlEstimator,
  type Objective,
  type OccupancyDivergence,
  occupancyRewards,
  rowDifferences,
  rowSums,
  shapedRewards,
  usedScores,
  weighted,
} from '@kelpie/objectives';
import { KelpieError } from '@kelpie/policy';
import { type ExactPenalty, exactPenaltyNames, exactTerm, isExact } from './exact-penalty.js';
import { hasSampledKl, klPenalty } from './kl-penalty.js';
import type { OnlineOptions } from './options.js';

/**
 * Divergences of the policy from the reference that can be held down, whatever the objective is.
 *   kl              token by token, by `klEstimator`
 *   occupancy-*     of whole completions, faithful: the gradient is that of the divergence
 *   pathwise-*      of whole completions as their authors differentiate it; in the loss only
 *   exact-*         token by token over the whole vocabulary, with its own gradient: in the `loss`, where what stands before a
 *                   token is held still, or in `both`, where tokens also pay for the divergence behind them; the gradient is
 *                   then that of E Σ_t D_t. Amini et al. 2025, arXiv:2504.10637, have it for KL
 */
export const penaltyNames = [
  ...(['none', 'kl', 'occupancy-kl', 'occupancy-chi2', 'occupancy-sqrt-chi2', 'occupancy-tv'] as const),
  ...(['pathwise-kl', 'pathwise-chi2', 'pathwise-sqrt-chi2'] as const),
  ...exactPenaltyNames,
] as const;
export type PenaltyName = (typeof penaltyNames)[number];

type PenaltyOptions = Pick<
  OnlineOptions,
  'penalty' | 'penaltyIn' | 'penaltyParameter' | 'klEstimator' | 'occupancyClip' | 'rewardClip' | 'missingEos'
>;

/** Completions of the policy that drew them, before the penalty. */
export interface Unshaped extends Grid {
  /** [rows, tokens] of the policy that drew them, and of the reference if there is one. */
  readonly logprobs: Float64Array;
  readonly referenceLogprobs?: Float64Array;
  /** [rows]: NaN is not judged. */
  readonly rewards: Float64Array;
  /** [rows]: 1 where the end token ended it. */
  readonly ended: Uint8Array;
  /** [rows, tokens]: the divergence of an `exact-...` penalty, measured. */
  readonly measured?: Float64Array;
}

export interface Shaped {
  /** [rows]: what is optimised, the penalty taken off. */
  readonly rewards: Float64Array;
  /** [rows, tokens]: the same where it is earned: a token's KL on the token, all else on the last. */
  readonly tokenRewards: Float64Array;
  /** [rows]: what was taken off, its weight included. */
  readonly penalties: Float64Array;
}

/** Rewards less the penalty of weight `coef`. Clip and the price of a missing end come first. */
export function shape(completions: Unshaped, coef: number, options: PenaltyOptions): Shaped {
  const { penalty, penaltyIn, rewardClip: clip, missingEos, klEstimator = 'k1' } = options;
  const scoring = {
    ...(clip !== undefined && { clip }),
    ...(missingEos !== undefined && { missingEos: { mode: 'subtract' as const, penalty: missingEos } }),
  };
  const { rewards: scores, ended: hasEos, referenceLogprobs = completions.logprobs } = completions;
  const place = (values: Float64Array, klCoef: number, estimator: KlEstimator = 'k1') =>
    shapedRewards(
      { ...completions, referenceLogprobs, scores: values.map((value) => (Number.isNaN(value) ? 0 : value)) },
      { klCoef, klEstimator: estimator },
    );
  const used = usedScores({ scores, hasEos }, scoring);
  if (penaltyIn === 'reward' && penalty === 'kl') {
    const { rewards: tokenRewards, kl } = place(used, coef, klEstimator);
    const penalties = rowSums(completions, kl).map((sum) => coef * sum);
    return { rewards: used.map((reward, row) => reward - penalties[row]!), tokenRewards, penalties };
  }
  const { measured } = completions;
  if (penaltyIn === 'both' && measured !== undefined) {
    const penalties = rowSums(completions, measured).map((sum) => coef * sum);
    const tokenRewards = place(used, 0).rewards.map((reward, at) => reward - coef * measured[at]!);
    return { rewards: used.map((reward, row) => reward - penalties[row]!), tokenRewards, penalties };
  }
  const divergence = penaltyIn === 'reward' ? occupancyOf(penalty) : undefined;
  if (divergence === undefined) {
    return { rewards: used, tokenRewards: place(used, 0).rewards, penalties: new Float64Array(used.length) };
  }
  const logratios = rowDifferences(completions, completions.logprobs, referenceLogprobs);
  const { rewards, penalties } = occupancyRewards(used, logratios, {
    divergence,
    coefficient: coef,
    clip: options.occupancyClip,
  });
  return { rewards, tokenRewards: place(rewards, 0).rewards, penalties: penalties.map((value) => coef * value) };
}

function occupancyOf(penalty: PenaltyName): OccupancyDivergence | undefined {
  const [kind, ...name] = penalty.split('-');
  return kind === 'occupancy' ? (name.join('-') as OccupancyDivergence) : undefined;
}

export interface Aim {
  readonly objective: Objective;
  readonly objectiveOptions: Readonly<Record<string, unknown>>;
}

/**
 * The aim with one KL to the reference, not two: where a penalty is chosen, an objective's own KL has weight 0 unless `beta` is
 * given. A KL in the loss is by the objective's `klEstimator` if that is given, else by the penalty's, else by k2.
 */
export function settled<Options extends PenaltyOptions>(
  { objective, objectiveOptions }: Aim,
  options: Options,
): Aim & { readonly options: Options & { readonly klEstimator: KlEstimator } } {
  const { penalty, penaltyIn, klEstimator } = options;
  const inLoss = penalty === 'kl' && penaltyIn === 'loss';
  const own = inLoss ? (objectiveOptions.klEstimator as KlEstimator | undefined) : undefined;
  const estimator = own ?? klEstimator ?? (inLoss ? 'k2' : 'k1');
  const pulled = penalty !== 'none' && hasSampledKl(objective);
  return {
    objective,
    objectiveOptions: {
      ...objectiveOptions,
      ...(pulled && { beta: objectiveOptions.beta ?? 0 }),
      ...(pulled && inLoss && { klEstimator: estimator }),
    },
    options: { ...options, klEstimator: estimator },
  };
}

/** What is descended: the objective, and with `penaltyIn` `loss` or `both` the penalty of weight `coef` beside it. */
export function aimOf({ objective, objectiveOptions }: Aim, coef: number, options: PenaltyOptions): Aim {
  const { penalty, penaltyIn, klEstimator = 'k2', occupancyClip: clip } = options;
  if (penalty === 'none' || penaltyIn === 'reward') return { objective, objectiveOptions };
  const termOf = () => {
    if (penalty === 'kl') return klPenalty(klEstimator, coef, objective, objectiveOptions);
    if (isExact(penalty)) return exactTerm(options, coef, objective, objectiveOptions);
    return { ...lossOf(penalty, clip), weight: coef };
  };
  return {
    objective: weighted([{ objective, options: objectiveOptions, weight: 1 }, termOf()]),
    objectiveOptions: {},
  };
}

function lossOf(penalty: Exclude<PenaltyName, 'none' | 'kl' | ExactPenalty>, clip: number) {
  if (penalty === 'occupancy-sqrt-chi2') {
    return { objective: getObjective('occupancy-sqrt-chi2'), options: { weight: 1, clip } };
  }
  const [kind, ...name] = penalty.split('-');
  if (kind === 'occupancy') {
    return { objective: getObjective('occupancy'), options: { divergence: name.join('-'), weight: 1, clip } };
  }
  const weights = { klWeight: 0, chi2Weight: 0, sqrtChi2Weight: 0 };
  const own = { 'pathwise-kl': 'klWeight', 'pathwise-chi2': 'chi2Weight', 'pathwise-sqrt-chi2': 'sqrtChi2Weight' };
  const options = { ...weights, [own[penalty as keyof typeof own]]: 1, clip };
  return { objective: getObjective('occupancy-pathwise'), options };
}

/** Refuses what would do something else than it says. */
export function requirePenalty({ objective, objectiveOptions }: Aim, options: PenaltyOptions): void {
  const { penalty, penaltyIn } = options;
  const refuse = (message: string) => {
    throw new KelpieError(message, { code: 'bad-option', where: { option: 'penalty' } });
  };
  if (penalty.startsWith('pathwise') && penaltyIn === 'reward') {
    refuse(`the penalty \`${penalty}\` is a loss: set \`penaltyIn\` to \`loss\`, or take \`occupancy-...\``);
  }
  if (penalty === 'none') return;
  if (isExact(penalty) && penaltyIn === 'reward') {
    refuse(
      `the penalty \`${penalty}\` in the reward alone would charge a token for those behind it and never for itself: set \`penaltyIn\` to \`loss\` or \`both\``,
    );
  }
  if (!isExact(penalty) && penaltyIn === 'both') {
    refuse(
      `only an \`exact-...\` penalty goes in \`both\`: set \`penaltyIn\` to \`reward\` or \`loss\` for \`${penalty}\``,
    );
  }
  const { rows, needsOf } = objective;
  const reads = needsOf(objectiveOptions).perToken?.includes('advantages');
  if (penaltyIn !== 'loss' && !reads) {
    refuse(
      `the objective \`${objective.name}\` reads no advantages, so a penalty in the reward would only choose rows`,
    );
  }
  if (penaltyIn === 'loss' && penalty === 'kl') requireKl({ objective, objectiveOptions }, options, refuse);
  if (penaltyIn !== 'reward' && penalty !== 'kl' && rows !== 'single') {
    refuse(`the penalty \`${penalty}\` is on single completions, the objective \`${objective.name}\` on ${rows}`);
  }
}

/** Refuses a KL in the loss that is paid twice, is said to be two things, or moves nothing. */
function requireKl(
  { objective, objectiveOptions }: Aim,
  { klEstimator: estimator }: PenaltyOptions,
  refuse: (message: string) => void,
): void {
  const { name } = objective;
  if (!hasSampledKl(objective)) {
    refuse(`the objective \`${name}\` has no KL in its loss: set \`penaltyIn\` to \`reward\``);
  }
  const { beta = 0, klEstimator: own, klImportance = 'none' } = objectiveOptions;
  if (beta !== 0) {
    refuse(
      `\`beta\` ${beta} of \`${name}\` is a KL in the loss, and so is the penalty: leave one out; \`penaltyCoef\` is the weight of the penalty`,
    );
  }
  if (own !== undefined && estimator !== undefined && own !== estimator) {
    refuse(
      `\`klEstimator\` is ${own} among the options of \`${name}\` and ${estimator} among those of the run: expected one`,
    );
  }
  if ((own ?? estimator) === 'k1' && klImportance !== 'live') {
    refuse(
      'the expected gradient of `klEstimator` k1 in a loss is 0, so the penalty would hold nothing: take k2 (the default in a loss), or set `klImportance` to `live`, or `penaltyIn` to `reward`',
    );
  }
}
