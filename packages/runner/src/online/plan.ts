import { join } from 'node:path';
import { isDivergence, type Objective } from '@kelpie/objectives';
import { KelpieError, type PolicyInfo, type ScoreName } from '@kelpie/policy';
import { z } from 'zod';
import { canonical, hashOf } from '../files.js';
import { type AdvantageName, usualAdvantage } from './advantages.js';
import type { OnlineRun } from './loop.js';
import { looseOnlineOptions, type OnlineOptions, onlineOptions } from './options.js';
import { requirePenalty } from './penalties.js';
import { requireRewards } from './rewards.js';
import type { OnlinePrompt } from './rollouts.js';
import { type Take, usualTake } from './take.js';

/** What of a run is known before it begins. */
export interface PlannedOnline {
  readonly options: OnlineOptions;
  readonly advantage: AdvantageName;
  readonly take: Take;
  /** Scores of the drawing policy and of the reference that something reads. */
  readonly scores: { readonly policy: readonly ScoreName[]; readonly reference: readonly ScoreName[] };
  /** All that decides on the result. */
  readonly config: Readonly<Record<string, unknown>>;
}

/** Checks a run and tells what it comes to, before anything is written. */
export function planOnline(run: OnlineRun): PlannedOnline {
  const { policy, objective, objectiveOptions = {}, prompts, heldout = [], rewards, watched = [], tokenizer } = run;
  const parsed = onlineOptions.safeParse(run.options ?? {});
  if (!parsed.success) throw new KelpieError(z.prettifyError(parsed.error), { code: 'bad-option' });
  const options = parsed.data;
  requireRewards({ rewards, watched });
  requirePrompts([...prompts, ...heldout], policy.info);
  if (prompts.length === 0) throw new KelpieError('no prompt to draw completions of', { code: 'bad-option' });
  requirePenalty({ objective, objectiveOptions }, options);
  const advantage = options.advantage ?? usualAdvantage(objective.name);
  const take = options.take ?? usualTake(objective, objectiveOptions);
  requireGroups(objective, take, options);
  requireKnown(objective, objectiveOptions);
  const { reference } = run;
  const strict = Object.entries(options).filter(([name]) => !looseOnlineOptions.some((loose) => loose === name));
  const hashPrompts = (of: readonly OnlinePrompt[]) =>
    hashOf(canonical(of.map(({ id, ids, meta }) => ({ id, ids, meta }))));
  return {
    options,
    advantage,
    take,
    scores: scoresRead(objective, objectiveOptions, options, reference ?? true),
    config: {
      objective: objective.name,
      objectiveOptions: objective.resolveOptions(objectiveOptions),
      options: { ...Object.fromEntries(strict), advantage, take },
      rewards: rewards.map(({ reward, weight = 1, madeOf = {} }) => ({ name: reward.name, weight, madeOf })),
      watched: watched.map(({ name }) => name),
      model: policy.info.hash,
      reference: policy.info.referenceHash,
      tokenizer: tokenizer?.hash ?? null,
      stop: stopsOf(run),
      prompts: hashPrompts(prompts),
      heldout: hashPrompts(heldout),
    },
  };
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
  { penalty, maxDivergence, controller }: OnlineOptions,
  withReference: boolean,
) {
  const needs = objective.needsOf(objectiveOptions);
  const anchored =
    needs.reference.length > 0 ||
    penalty !== 'none' ||
    maxDivergence !== undefined ||
    controller !== 'fixed' ||
    needs.policy.some(isDivergence);
  if (anchored && !withReference) {
    throw new KelpieError('a penalty, the objective or a budget reads the reference: the run cannot do without one', {
      code: 'bad-option',
      where: { option: 'reference' },
    });
  }
  const reference = withReference ? ['logprobs', ...needs.reference] : [];
  return {
    policy: [...new Set(needs.old ?? [])] as ScoreName[],
    reference: [...new Set(reference)] as ScoreName[],
  };
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
  if (rows === 'pairs' && take !== 'pairs') refuse(`the objective \`${name}\` is on pairs: take \`pairs\``, 'take');
  if (rows !== 'pairs' && take === 'pairs') refuse(`the objective \`${name}\` is not on pairs`, 'take');
  if (rows === 'unpaired' || rows === 'groups') refuse(`the objective \`${name}\` is on rows \`${rows}\``, 'objective');
  if (take === 'pairs' && completions < 2) refuse('a pair takes two completions of a prompt', 'completions');
}

/** Refuses an objective that reads what rollouts do not bring. */
function requireKnown({ name, needsOf }: Objective, objectiveOptions: Readonly<Record<string, unknown>>): void {
  const { policy, batches = [], perRow = [], perToken = [] } = needsOf(objectiveOptions);
  const [absent] = [
    ...policy.filter((score) => score === 'values'),
    ...perToken.filter((field) => field !== 'advantages'),
    ...perRow.filter((field) => field !== 'rewards'),
    ...batches,
  ];
  if (absent === undefined) return;
  const way =
    absent === 'values' ? ': there is no value function here, set `valueCoef` to 0' : ', which rollouts do not bring';
  throw new KelpieError(`the objective \`${name}\` reads \`${absent}\`${way}`, {
    code: 'bad-option',
    where: { option: 'objective' },
  });
}
