import { countTotals, estimatedLogPartition, type Objective, rowSums, rowsByGroup } from '@kelpie/objectives';
import { inputOf } from '../rows.js';
import { type Lessons, lessonPart } from './lessons.js';
import { momentsOf, type RolloutScores } from './metrics.js';
import type { Aim } from './penalties.js';
import type { Rollouts } from './rollouts.js';

/** Whether an objective brings the policy to a distribution that is given by scores. */
export function isTargeted({ needsOf }: Objective, options: Readonly<Record<string, unknown>>): boolean {
  return needsOf(options).perRow?.includes('targetLogScores') ?? false;
}

/**
 * [rows]: log of the policy that is best for E R - beta KL(π ‖ π_ref), at each completion,
 *   log π_ref(y) + R(y)/beta - log Z(x),   log Z(x) = log mean over the prompt's completions of π_ref(y) e^{R(y)/beta}/π(y)
 * The partition is estimated prompt by prompt: Korbak et al. 2022, arXiv:2112.00791 (CDPG). NaN where nobody judged.
 */
export function targetLogScores(
  rollouts: Pick<Rollouts, 'rows' | 'tokens' | 'completionMask' | 'groups'>,
  { logprobs, referenceLogprobs }: Pick<RolloutScores, 'logprobs' | 'referenceLogprobs'>,
  rewards: Float64Array,
  beta: number,
): Float64Array {
  if (referenceLogprobs === undefined) throw new RangeError('a target is made of the reference, and there is none');
  const own = rowSums(rollouts, logprobs);
  const scores = rowSums(rollouts, referenceLogprobs).map((logprob, row) => logprob + rewards[row]! / beta);
  for (const group of rowsByGroup(rollouts.groups)) {
    const judged = group.filter((row) => !Number.isNaN(scores[row]!));
    if (judged.length === 0) continue;
    const of = (values: Float64Array) => Float64Array.from(judged, (row) => values[row]!);
    const logZ = estimatedLogPartition(of(scores), of(own));
    for (const row of judged) scores[row]! -= logZ;
  }
  return scores;
}

/**
 * With the mean of a step's pseudo-rewards as baseline, unless the options name one. A completion's own part in the mean
 * scales the expected gradient by 1 - 1/rows and leaves its direction; nothing is carried from step to step.
 */
export function withBaseline(aim: Aim, lessons: Lessons): Aim {
  const { objective, objectiveOptions } = aim;
  if (!isTargeted(objective, objectiveOptions) || !('baseline' in objective.options.shape)) return aim;
  if (objectiveOptions.baseline !== undefined || lessons.examples.length === 0) return aim;
  const part = lessonPart({ objective }, lessons, [...lessons.examples.keys()]);
  const input = inputOf(part, part.old!, { totals: countTotals(objective.rows, part) });
  const { pseudoRewards = new Float64Array() } = objective.evaluate(input, objectiveOptions).details ?? {};
  return { objective, objectiveOptions: { ...objectiveOptions, baseline: momentsOf(pseudoRewards).mean } };
}
