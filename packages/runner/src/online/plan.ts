import { join } from 'node:path';
import { isDivergence, type Objective, type RowField } from '@kelpie/objectives';
import { KelpieError, type PolicyInfo, type ScoreName } from '@kelpie/policy';
import { z } from 'zod';
import { canonical, hashOf } from '../files.js';
import { type AdvantageName, usualAdvantage, whitens } from './advantages.js';
import { type CriticPlace, criticPlace, requireCritic } from './critic.js';
import { inProcess } from './engines/index.js';
import { exactScores } from './exact-penalty.js';
import { looseOnlineOptions, type OnlineOptions, onlineOptions } from './options.js';
import { requirePenalty, settled } from './penalties.js';
import { requireRewards } from './rewards.js';
import type { OnlinePrompt } from './rollouts.js';
import type { OnlineRun } from './run.js';
import { onPairs, type Take, usualTake } from './take.js';
import { isTargeted } from './targets.js';
import { requireDrawable } from './truncation.js';
import { type Reading, usualReading } from './win-rates.js';

/** What of a run is known before it begins. */
export interface PlannedOnline {
  readonly options: OnlineOptions;
  readonly advantage: AdvantageName;
  readonly take: Take;
  /** What the objective reads as rewards. */
  readonly reading: Reading;
  /** What of a row the objective reads. */
  readonly perRow: readonly RowField[];
  /** Whether advantages are whitened. */
  readonly whiten: boolean;
  readonly critic: CriticPlace;
  /** As the policy descends the objective: with a critic apart without values. */
  readonly objectiveOptions: Readonly<Record<string, unknown>>;
  /** Scores of the drawing policy and of the reference that something reads. */
  readonly scores: { readonly policy: readonly ScoreName[]; readonly reference: readonly ScoreName[] };
  /** Whether steps may learn from the decoder's log-probabilities, forward and backward pass in one run. */
  readonly oneRun: boolean;
  /** All that decides on the result. */
  readonly config: Readonly<Record<string, unknown>>;
}

/** Checks a run and tells what it comes to, before anything is written. */
export function planOnline(run: OnlineRun): PlannedOnline {
  const { policy, critic, objective, prompts, heldout = [], rewards, watched = [], tokenizer } = run;
  const parsed = onlineOptions.safeParse(run.options ?? {});
  if (!parsed.success) throw new KelpieError(z.prettifyError(parsed.error), { code: 'bad-option' });
  const given = parsed.data;
  requireRewards({ rewards, watched });
  requirePrompts([...prompts, ...heldout], policy.info);
  if (prompts.length === 0) throw new KelpieError('no prompt to draw completions of', { code: 'bad-option' });
  const place = criticPlace(run);
  const own = { objective, objectiveOptions: withCritic(place, run) };
  requirePenalty(own, given);
  const { objectiveOptions, options } = settled(own, given);
  if (options.syncReferenceEvery > 0 && !policy.info.referenceMoves) {
    throw new KelpieError("the policy's reference cannot move: open it with keepReference `moving`, or leave it be", {
      code: 'bad-option',
      where: { option: 'syncReferenceEvery' },
    });
  }
  const fitted = place === 'apart' || (place === 'beside' && fitsValues(objective, objectiveOptions));
  const advantage = options.advantage ?? usualAdvantage(objective.name, fitted);
  const valued = advantage === 'gae';
  const whiten = options.whiten ?? whitens(advantage);
  requireRule(advantage, options);
  requireCritic({ place, objective, objectiveOptions, valued, policy, ...(critic && { critic }) });
  const take = options.take ?? usualTake(objective, objectiveOptions);
  const reading = options.rewardsAs ?? usualReading(objective.name);
  requireGroups(objective, take, options);
  requireKnown(objective, objectiveOptions, { valued, take });
  requireDrawable(run, { ...options, take }, objectiveOptions);
  const { reference } = run;
  const scores = scoresRead(objective, objectiveOptions, options, reference ?? true);
  // A controller goes by the exact KL where it is measured, else by k1.
  const decides = (name: string) => name === 'divergence' && options.controller !== 'fixed';
  const strict = Object.entries(options).filter(
    ([name]) => decides(name) || !looseOnlineOptions.some((loose) => loose === name),
  );
  const hashPrompts = (of: readonly OnlinePrompt[]) =>
    hashOf(canonical(of.map(({ id, ids, meta }) => ({ id, ids, meta }))));
  const oneRun = learnsInOneRun(run, { objective, objectiveOptions, options, take });
  return {
    options,
    advantage,
    take,
    reading,
    perRow: objective.needsOf(objectiveOptions).perRow ?? [],
    whiten,
    critic: place,
    objectiveOptions,
    oneRun,
    scores: place === 'beside' && valued ? withValues(scores) : scores,
    config: {
      objective: objective.name,
      objectiveOptions: objective.resolveOptions(objectiveOptions),
      options: { ...Object.fromEntries(strict), advantage, take, whiten, rewardsAs: reading },
      rewards: rewards.map(({ reward, weight = 1, madeOf = {} }) => ({ name: reward.name, weight, madeOf })),
      watched: watched.map(({ name }) => name),
      model: policy.info.hash,
      reference: policy.info.referenceHash,
      ...(critic && { critic: critic.info.hash }),
      tokenizer: tokenizer?.hash ?? null,
      stop: stopsOf(run),
      ...(run.engine && { engine: run.engine.madeOf }),
      // A step learns from the decoder's log-probabilities, or from the scorer's.
      ...(oneRun && { oneRunFrom: run.selfCheckTolerance === false ? 1 : 2 }),
      prompts: hashPrompts(prompts),
      heldout: hashPrompts(heldout),
    },
  };
}

/**
 * Whether what the policy says of completions goes into nothing but the loss of one update a pass, by terms that are smooth
 * where it is the reference, and the policy decodes as it scores.
 */
function learnsInOneRun(
  { policy, engine = inProcess }: Pick<OnlineRun, 'policy' | 'engine'>,
  {
    objective,
    objectiveOptions,
    options: { penalty, penaltyIn, miniBatches, temperature },
    take,
  }: Pick<PlannedOnline, 'objectiveOptions' | 'options' | 'take'> & { readonly objective: Objective },
): boolean {
  const paid = penalty !== 'none' && !(penalty === 'kl' && penaltyIn === 'loss');
  if (paid || isTargeted(objective, objectiveOptions) || take !== 'all' || miniBatches > 1) return false;
  return engine.name === inProcess.name && temperature === 1 && (policy.info.tokensAtOnce ?? 0) > 0;
}

/** Ids that end a completion. */
export function stopsOf({ stop, tokenizer }: Pick<OnlineRun, 'stop' | 'tokenizer'>): readonly number[] {
  return stop ?? tokenizer?.eosTokens ?? [];
}

export const logsOf = (outFolder: string) => ({
  metrics: join(outFolder, 'metrics.jsonl'),
  timing: join(outFolder, 'timing.jsonl'),
  rollouts: join(outFolder, 'rollouts.jsonl'),
});

function scoresRead(
  objective: Objective,
  objectiveOptions: Readonly<Record<string, unknown>>,
  options: OnlineOptions,
  withReference: boolean,
) {
  const { penalty, penaltyIn, maxDivergence, controller } = options;
  const needs = objective.needsOf(objectiveOptions);
  const anchored =
    needs.reference.length > 0 ||
    penalty !== 'none' ||
    maxDivergence !== undefined ||
    controller !== 'fixed' ||
    needs.policy.some(isDivergence) ||
    needs.perRow?.some((field) => field === 'targetLogScores' || field === 'external');
  if (anchored && !withReference) {
    throw new KelpieError('a penalty, the objective or a budget reads the reference: the run cannot do without one', {
      code: 'bad-option',
      where: { option: 'reference' },
    });
  }
  const reference = withReference ? ['logprobs', ...needs.reference] : [];
  return {
    policy: [...new Set([...(needs.old ?? []), ...(penaltyIn === 'both' ? exactScores(options) : [])])] as ScoreName[],
    reference: [...new Set(reference)] as ScoreName[],
  };
}

function withValues({ policy, reference }: PlannedOnline['scores']): PlannedOnline['scores'] {
  return { policy: [...new Set<ScoreName>([...policy, 'values'])], reference };
}

function fitsValues({ needsOf }: Objective, objectiveOptions: Readonly<Record<string, unknown>>): boolean {
  return needsOf(objectiveOptions).policy.some((score) => score === 'values');
}

function withCritic(
  place: CriticPlace,
  { objective, objectiveOptions = {} }: Pick<OnlineRun, 'objective' | 'objectiveOptions'>,
): Readonly<Record<string, unknown>> {
  const apart = place === 'apart' && 'valueCoef' in objective.options.shape;
  return apart ? { ...objectiveOptions, valueCoef: 0 } : objectiveOptions;
}

function requirePrompts(prompts: readonly OnlinePrompt[], { contextLength }: PolicyInfo): void {
  for (const { id, ids } of prompts) {
    if (ids.length >= 1 && ids.length < contextLength) continue;
    throw new KelpieError(
      `a prompt has ${ids.length} tokens: expected at least 1, and fewer than the context of ${contextLength}, so that a completion has room`,
      { code: 'bad-option', where: { row: id } },
    );
  }
}

function requireGroups({ name, rows }: Objective, take: Take, { completions }: OnlineOptions): void {
  const refuse = (message: string, option: string) => {
    throw new KelpieError(message, { code: 'bad-option', where: { option } });
  };
  const paired = onPairs(take);
  if (rows === 'pairs' && !paired) refuse(`the objective \`${name}\` is on pairs: take \`pairs\``, 'take');
  if (rows !== 'pairs' && paired) refuse(`the objective \`${name}\` is not on pairs`, 'take');
  if (rows === 'groups' && take !== 'all') refuse(`the objective \`${name}\` is on whole groups: take \`all\``, 'take');
  if (rows === 'groups' && completions < 2) refuse('a group is at least two completions of a prompt', 'completions');
  if (rows === 'unpaired') refuse(`the objective \`${name}\` is on rows \`${rows}\``, 'objective');
  if (paired && completions < 2) refuse('a pair takes two completions of a prompt', 'completions');
  if (take === 'against-reference' && completions % 2 === 1) {
    refuse(
      `half of a group is the reference's: expected an even number of completions, got ${completions}`,
      'completions',
    );
  }
}

/** Refuses options that the rule of the advantages would leave unread. */
function requireRule(
  rule: AdvantageName,
  { penalty, penaltyIn, rewardClip, missingEos, whiten, gamma, gaeLambda }: OnlineOptions,
): void {
  const refuse = (option: string, message: string) => {
    throw new KelpieError(message, { code: 'bad-option', where: { option } });
  };
  if (rule === 'normalize-then-sum') {
    const unread = {
      penalty: penalty !== 'none' && penaltyIn !== 'loss',
      rewardClip: rewardClip !== undefined,
      missingEos: missingEos !== undefined,
    };
    for (const [option] of Object.entries(unread).filter(([, given]) => given)) {
      const instead = option === 'penalty' ? 'set `penaltyIn` to `loss`, or take' : 'leave it out, or take';
      refuse(
        option,
        `\`${option}\` is of the sum of the rewards, \`${rule}\` reads each by itself: ${instead} another \`advantage\``,
      );
    }
  }
  if (rule === 'reinforce++' && whiten === false) {
    refuse(
      'whiten',
      '`whiten` false: the advantages of `reinforce++` are whitened by its definition; take another `advantage`',
    );
  }
  const earned = rule === 'gae' || rule === 'reinforce++';
  if (!earned && gamma !== onlineOptions.shape.gamma.parse(undefined)) {
    refuse(
      'gamma',
      `\`gamma\` ${gamma} discounts what tokens earn; \`${rule}\` is of whole completions: take \`gae\` or \`reinforce++\``,
    );
  }
  if (rule !== 'gae' && gaeLambda !== onlineOptions.shape.gaeLambda.parse(undefined)) {
    refuse('gaeLambda', `\`gaeLambda\` ${gaeLambda} is read by \`gae\` alone, and the advantages are \`${rule}\``);
  }
}

/** Refuses an objective that reads what rollouts do not bring. */
function requireKnown(
  { name, needsOf }: Objective,
  objectiveOptions: Readonly<Record<string, unknown>>,
  { valued, take }: { readonly valued: boolean; readonly take: Take },
): void {
  const brought = [
    'rewards',
    'groups',
    'ranks',
    'targetLogScores',
    ...(take === 'against-reference' ? ['external'] : []),
  ];
  const { batches = [], perRow = [], perToken = [] } = needsOf(objectiveOptions);
  const [absent] = [
    ...perToken.filter((field) => field !== 'advantages' && !(valued && field === 'returns')),
    ...perRow.filter((field) => !brought.includes(field)),
    ...batches,
  ];
  if (absent === undefined) return;
  throw new KelpieError(`the objective \`${name}\` reads \`${absent}\`, which rollouts do not bring`, {
    code: 'bad-option',
    where: { option: 'objective' },
  });
}
