import type { RolloutRecord } from '../events.js';
import { advantagesOf, judgedMask, rowAdvantages } from './advantages.js';
import type { Collected } from './collect.js';
import { valueMetrics } from './critic.js';
import { measuredPenalty } from './exact-penalty.js';
import { byPrompt, type Lessons, lessonsOf } from './lessons.js';
import { completionMetrics, divergenceMetrics, objectiveMetrics, rewardMetrics, samplerMetrics } from './metrics.js';
import { shape } from './penalties.js';
import type { PlannedOnline } from './plan.js';
import { taken } from './take.js';
import { rewardRows } from './texts.js';

export interface Prepared {
  readonly lessons: Lessons;
  readonly metrics: Readonly<Record<string, number>>;
  /** Mean KL of a completion, for controllers and budgets: exact where it was measured, else k1. Absent without a reference. */
  readonly kl?: number;
  /** What is kept of each completion. */
  records(tokenizer?: Parameters<typeof rewardRows>[1]): RolloutRecord[];
}

/** From judged completions to what is learnt from them: penalty, advantages, choice. */
export function prepareStep(
  { rollouts, judged, scores, old, reference }: Collected,
  { options, advantage, whiten, take, step, coef }: PlannedOnline & { readonly step: number; readonly coef: number },
): Prepared {
  const { groups } = rollouts;
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
    examples: rollouts.examples,
    old,
    reference,
    advantages: byPrompt(rollouts, advantages, rollouts.examples),
    ...(returns && { returns: byPrompt(rollouts, returns, rollouts.examples) }),
  };
  const perRow = rowAdvantages(rollouts, advantages);
  const divergence = divergenceMetrics(rollouts, scores);
  const kl = divergence['divergence/kl_exact'] ?? divergence['divergence/kl_k1'];
  return {
    lessons: lessonsOf(whole, taken(take, shaped.rewards, groups), shaped.rewards),
    ...(kl !== undefined && { kl }),
    metrics: {
      ...rewardMetrics(judged, groups),
      ...objectiveMetrics(rollouts, scores, { ...shaped, coef }),
      ...divergence,
      ...(values && returns && valueMetrics({ completionMask: judgedMask(judgement) }, { values, returns })),
      ...completionMetrics(rollouts, scores),
      ...(options.temperature === 1 ? samplerMetrics(rollouts, scores) : {}),
    },
    records(tokenizer) {
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
          logprobs: own(scores.logprobs),
          ...(scores.referenceLogprobs && { referenceLogprobs: own(scores.referenceLogprobs) }),
          rewards: column(judged.parts),
          watched: column(judged.watched),
          reward: judged.rewards[row]!,
          penalty: shaped.penalties[row]!,
          advantage: perRow[row]!,
        };
      });
    },
  };
}
