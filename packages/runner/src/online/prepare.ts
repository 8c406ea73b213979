import type { RolloutRecord } from '../events.js';
import type { Example } from '../rows.js';
import { advantagesOf, judgedMask, rowAdvantages } from './advantages.js';
import type { Collected } from './collect.js';
import { valueMetrics } from './critic.js';
import { measuredPenalty } from './exact-penalty.js';
import { byPrompt, type Lessons, lessonsOf } from './lessons.js';
import {
  anyJudged,
  completionMetrics,
  divergenceMetrics,
  objectiveMetrics,
  rewardMetrics,
  samplerMetrics,
} from './metrics.js';
import { duelMetrics, ownRows } from './opponents.js';
import { type Shaped, shape } from './penalties.js';
import type { PlannedOnline } from './plan.js';
import { ranksOf } from './ranks.js';
import { taken } from './take.js';
import { targetLogScores } from './targets.js';
import { rewardRows } from './texts.js';
import { truncationMetrics } from './truncation.js';
import { winRates } from './win-rates.js';

export interface Prepared {
  readonly lessons: Lessons;
  /** What is to be told of the step. */
  readonly warnings: readonly string[];
  /** Of the same completions, when all is scored. */
  tell(complete: Pick<Collected, 'scores' | 'sampled'>): Told;
}

/** What is known of a step's completions in the end. */
export interface Told {
  readonly metrics: Readonly<Record<string, number>>;
  /** Mean KL of a completion, for controllers and budgets: exact where it was measured, else k1. Absent without a reference. */
  readonly kl?: number;
  /** What is kept of each completion. */
  records(tokenizer?: Parameters<typeof rewardRows>[1]): RolloutRecord[];
}

/** From judged completions to what is learnt from them: penalty, advantages, choice. Where nothing was judged, from none. */
export function prepareStep(
  { rollouts, judged, drawing, scores, old, reference }: Collected,
  {
    options,
    advantage,
    whiten,
    take,
    perRow: read,
    reading,
    step,
    coef,
  }: PlannedOnline & { readonly step: number; readonly coef: number },
): Prepared {
  const measured = options.penaltyIn === 'both' ? measuredPenalty(rollouts, old, options) : undefined;
  const shaped = shape(
    { ...rollouts, ...scores, rewards: judged.rewards, ...(measured && { measured }) },
    coef,
    options,
  );
  const { values } = scores;
  const judgement = { ...rollouts, ...shaped, parts: judged.terms, weights: judged.weights, ...(values && { values }) };
  const { advantages, returns } = advantagesOf(advantage, judgement, { ...options, whiten });
  const whole = {
    examples: withRowNumbers(rollouts.examples, {
      ...(read.includes('targetLogScores') && {
        targetLogScores: targetLogScores(rollouts, scores, shaped.rewards, options.targetBeta),
      }),
      ...(read.includes('ranks') && { ranks: ranksOf(shaped.rewards, rollouts.groups) }),
      ...(rollouts.external && { external: rollouts.external }),
    }),
    old,
    reference,
    advantages: byPrompt(rollouts, advantages, rollouts.examples),
    ...(returns && { returns: byPrompt(rollouts, returns, rollouts.examples) }),
  };
  const readRewards = reading === 'win-rates' ? winRates(shaped.rewards, rollouts.groups) : shaped.rewards;
  const perRow = rowAdvantages(rollouts, advantages);
  const judgedAny = anyJudged(judged.rewards);
  const chosen = judgedAny ? taken(take, shaped.rewards, rollouts) : new Int32Array();
  const tell = ({ scores, sampled }: Pick<Collected, 'scores' | 'sampled'>): Told => {
    const own = ownRows({ rollouts, judged, scores, sampled, shaped });
    const divergence = divergenceMetrics(own.rollouts, own.scores);
    const kl = divergence['divergence/kl_exact'] ?? divergence['divergence/kl_k1'];
    return {
      ...(kl !== undefined && { kl }),
      metrics: {
        ...rewardMetrics(own.judged, own.rollouts.groups),
        ...duelMetrics(rollouts, shaped.rewards),
        ...drawing,
        ...objectiveMetrics(own.rollouts, own.scores, { ...own.shaped, coef }),
        ...divergence,
        ...(values && returns && valueMetrics({ completionMask: judgedMask(judgement) }, { values, returns })),
        ...completionMetrics(own.rollouts, own.scores),
        ...(own.sampled && samplerMetrics(own.rollouts, own.sampled)),
        ...truncationMetrics(own.rollouts, own.scores, options),
        ...rollouts.sampler.metrics,
      },
      records: (tokenizer) => recordsOf({ rollouts, judged, scores, shaped, perRow, step }, tokenizer),
    };
  };
  return {
    lessons: lessonsOf(whole, chosen, readRewards),
    warnings: judgedAny
      ? []
      : [`step ${step}: no reward judged any of the ${rollouts.rows} completions, so nothing was learnt from them`],
    tell,
  };
}

interface Recorded extends Pick<Collected, 'rollouts' | 'judged' | 'scores'> {
  readonly shaped: Shaped;
  /** [rows]: the advantage. */
  readonly perRow: Float64Array;
  readonly step: number;
}

function recordsOf(
  { rollouts, judged, scores, shaped, perRow, step }: Recorded,
  tokenizer: Parameters<typeof rewardRows>[1],
): RolloutRecord[] {
  const { tokens, completions, prompts } = rollouts;
  return rewardRows(rollouts, tokenizer).map(({ prompt, completion, ended }, row) => {
    const { ids, prompt: at } = completions[row]!;
    const own = (values: Float64Array) => [...values.subarray(row * tokens, row * tokens + ids.length)];
    const column = (table: Readonly<Record<string, Float64Array>>) =>
      Object.fromEntries(Object.entries(table).map(([name, values]) => [name, values[row]!]));
    return {
      step,
      promptId: prompts[at]!.id,
      prompt,
      completion,
      ids,
      ended,
      ...(rollouts.external?.[row] === 1 && { by: 'reference' as const }),
      logprobs: own(scores.logprobs),
      ...(scores.referenceLogprobs && { referenceLogprobs: own(scores.referenceLogprobs) }),
      rewards: column(judged.parts),
      watched: column(judged.watched),
      reward: judged.rewards[row]!,
      penalty: shaped.penalties[row]!,
      advantage: perRow[row]!,
    };
  });
}

/** The examples with numbers of their rows told to their branches. */
function withRowNumbers(
  examples: readonly Example[],
  numbers: { readonly targetLogScores?: Float64Array; readonly ranks?: Int32Array; readonly external?: Uint8Array },
): readonly Example[] {
  let row = 0;
  return examples.map((example) => {
    const from = row;
    row += example.tree.branches.length;
    const own = Object.entries(numbers).map(([name, values]) => [name, [...values.subarray(from, row)]]);
    return { ...example, ...Object.fromEntries(own) };
  });
}
