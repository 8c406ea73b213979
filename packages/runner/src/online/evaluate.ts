import type { Policy } from '@kelpie/policy';
import { type Change, type Sample, type Snapshot, type Verdict, verdictOf } from '../verdict.js';
import { type CollectOptions, collect } from './collect.js';
import { completionMetrics, divergenceMetrics, momentsOf, rewardMetrics } from './metrics.js';
import type { OnlineOptions } from './options.js';
import type { OnlinePrompt } from './rollouts.js';
import { stopwatch } from './stopwatch.js';
import { rewardRows } from './texts.js';

/**
 * One completion of each held-out prompt, drawn with the same numbers each time: rewards, lengths and entropy as `eval_...`,
 * and the divergences; `eval_reward_std` is the deviation over all of them. Running transformations of rewards are read and not moved.
 */
export async function evaluateRollouts(
  policy: Policy,
  heldout: readonly OnlinePrompt[],
  options: Omit<CollectOptions, 'completions'> & Pick<OnlineOptions, 'evaluatePrompts'>,
): Promise<Snapshot & { readonly seconds: number }> {
  if (heldout.length === 0) return { metrics: {}, samples: [], seconds: 0 };
  const clock = stopwatch();
  const prompts = heldout.slice(0, options.evaluatePrompts);
  const { rollouts, judged, scores } = await collect(policy, prompts, { ...options, completions: 1, divergence: true });
  const { frac_reward_zero_std: _, ...rewards } = rewardMetrics(judged, rollouts.groups);
  const spread = rewards.reward === undefined ? {} : { reward_std: momentsOf(judged.rewards).deviation };
  const own = { ...rewards, ...spread, ...completionMetrics(rollouts, scores) };
  const named = Object.entries(own).map(([name, value]) => [`eval_${name}`, value]);
  const samples = rewardRows(rollouts, options.tokenizer).map(({ prompt, completion, ids, ended }, row): Sample => {
    return { id: prompts[row]!.id, prompt, completion, tokens: ids.length, ended };
  });
  return {
    metrics: { ...Object.fromEntries(named), ...divergenceMetrics(rollouts, scores) },
    samples,
    seconds: clock(),
  };
}

/** What a run has done, between its first evaluation and its last. */
export function onlineVerdict(before: Snapshot, after: Snapshot, { steps }: { readonly steps: number }): Verdict {
  const changes = Object.entries(after.metrics).flatMap(([name, value]): [string, Change][] => {
    const first = before.metrics[name];
    return first === undefined ? [] : [[name, { before: first, after: value }]];
  });
  const change = (wanted: string) => changes.find(([name]) => name === wanted)?.[1];
  const [reward, rewardDeviation] = [change('eval_reward'), change('eval_reward_std')];
  const watched = changes.flatMap(([name, change]) => {
    const part = /^eval_watched\/(.*)\/mean$/.exec(name)?.[1];
    return part === undefined ? [] : [[part, change]];
  });
  return {
    ...verdictOf(before, after, { steps }),
    ...(reward && { reward }),
    ...(rewardDeviation && { rewardDeviation }),
    ...(watched.length > 0 && { watched: Object.fromEntries(watched) }),
  };
}
