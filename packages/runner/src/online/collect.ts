import type { Grid } from '@kelpie/objectives';
import type { Policy, ScoreName } from '@kelpie/policy';
import type { RewardState } from '@kelpie/rewards';
import type { ReferenceTable } from '../rows.js';
import { drawJudged } from './dynamic-sampling.js';
import { flat } from './lessons.js';
import type { RolloutScores } from './metrics.js';
import type { OnlineOptions } from './options.js';
import type { Judged, Judges } from './rewards.js';
import {
  type DrawOptions,
  type Forward,
  type OnlinePrompt,
  type Rollouts,
  runsAtOnce,
  type Scored,
  scoredTable,
  scoreForward,
  scoreLater,
  scoreTable,
} from './rollouts.js';
import { stopwatch } from './stopwatch.js';
import type { rewardRows } from './texts.js';

export interface CollectOptions
  extends DrawOptions,
    Judges,
    Pick<OnlineOptions, 'microBatchTokens' | 'microBatchRows' | 'divergence'> {
  /** Gives the values, where it is apart from the policy. */
  readonly critic?: Policy;
  /** Draws as many completions of the reference beside. */
  readonly opponents?: boolean;
  /** Prompts from which groups are taken for those that teach nothing, `dynamicSampling` times at most. Absent: none are. */
  readonly pool?: readonly OnlinePrompt[];
  readonly dynamicSampling?: number;
  readonly state: RewardState;
  readonly tokenizer?: Parameters<typeof rewardRows>[1];
  /** What training reads of the policy, where its first update is on all that was drawn: it goes on from the passes that score. */
  readonly forward?: readonly ScoreName[] | undefined;
  /** Whether the decoder's log-probabilities may stand for the scorer's in the loss, until training has made its passes. */
  readonly trusting?: boolean;
  /** What is read of the policy that draws, and of the reference; none of the latter where there is none. */
  readonly scores: { readonly policy: readonly ScoreName[]; readonly reference: readonly ScoreName[] };
}

/** Seconds and completion tokens of one phase. */
export interface PhaseTime {
  readonly seconds: number;
  readonly tokens: number;
}
export type Phase = 'sampling' | 'rewarding' | 'scoring' | 'training';

/** Completions, judged and scored. */
export interface Collected {
  readonly rollouts: Rollouts;
  readonly judged: Judged;
  /** What is to be told of how they were drawn. */
  readonly drawing: Readonly<Record<string, number>>;
  readonly old: ReferenceTable;
  readonly reference: ReferenceTable;
  readonly scores: RolloutScores;
  /** [rows, tokens]: the policy's log-probabilities at the temperature that the engine's are meant at, where known. */
  readonly sampled?: Float64Array;
  /** Forward passes that wait for the first update, as far as `forward` asked for them. */
  readonly forwards: readonly Forward[];
  /** The same with the scores of the passes that were made since. */
  complete(scored: Scored): Collected;
  readonly times: Readonly<Record<Exclude<Phase, 'training'>, PhaseTime>>;
}

/**
 * Draws, judges and scores. Divergences, entropy and rollouts that are told, and what a reward pays for, are the scorer's, never
 * the decoder's: ratios and divergences begin at exactly 1 and 0. Where the loss alone reads log-probabilities, of a policy that
 * drew by itself, it may take the decoder's, rounded otherwise: forward pass and pass back are then one run, which scores on
 * the way.
 */
export async function collect(
  policy: Policy,
  prompts: readonly OnlinePrompt[],
  options: CollectOptions,
): Promise<Collected> {
  const { critic, scores, divergence, forward, trusting = false } = options;
  const { rollouts, judged, times, metrics: drawing } = await drawJudged(policy, prompts, options);
  const clock = stopwatch();
  const tokens = rollouts.completionMask.reduce((sum, bit) => sum + bit, 0);
  const own = [
    ...new Set<ScoreName>([
      ...(['logprobs', 'entropy', ...scores.policy, ...(forward ?? [])] as const),
      ...besides(scores.reference, divergence),
    ]),
  ];
  const { temperature, microBatchTokens, microBatchRows } = options;
  const how = { temperature, microBatchTokens, microBatchRows };
  // Before the passes that wait, which then take no memory beside these, and are not left waiting where one of these fails.
  const values = critic && (await scoreTable(critic, rollouts.examples, { ...how, scores: ['values'] }));
  const { logprobTemperature } = rollouts.sampler;
  const alike = logprobTemperature === temperature;
  const apart =
    !alike && options.engine // Its weights may be others: worth a pass of its own.
      ? await scoreTable(policy, rollouts.examples, {
          ...how,
          temperature: logprobTemperature,
          scores: ['logprobs'],
        })
      : undefined;
  const others = scores.reference.filter((name) => name !== 'logprobs');
  const ofReference =
    others.length > 0 && (await scoreTable(policy, rollouts.examples, { ...how, scores: others, of: 'reference' }));
  const later =
    trusting &&
    alike &&
    readsLogprobsAlone(options) &&
    !rollouts.external &&
    runsAtOnce(policy.info, rollouts.examples);
  const { table, forwards } = later
    ? await scoreLater(policy, rollouts.examples, logprobsOf(rollouts), { ...how, scores: own })
    : forward !== undefined
      ? await scoreForward(policy, rollouts.examples, { ...how, scores: own })
      : { table: await scoreTable(policy, rollouts.examples, { ...how, scores: own }), forwards: [] };
  const scoring = { seconds: clock(), tokens };
  const withScores = (table: ReferenceTable): Collected => {
    const { referenceLogprobs, ...drawn } = table as ReferenceTable & { readonly referenceLogprobs?: Table };
    const old = { ...drawn, ...values };
    const sampled = alike ? drawn : apart;
    const reference = { ...(referenceLogprobs && { logprobs: referenceLogprobs }), ...ofReference };
    const collected: Collected = {
      rollouts,
      judged,
      drawing,
      old,
      reference,
      scores: scoresOn(rollouts, old, reference),
      ...(sampled?.logprobs && { sampled: flat(rollouts, sampled.logprobs) }),
      forwards,
      times: { ...times, scoring },
      complete: (scored) => (later ? withScores(scoredTable(rollouts.examples, own, scored)) : collected),
    };
    return collected;
  };
  return withScores(table);
}

/** Whether the policy's log-probabilities are all that is read of it before it has learnt. */
function readsLogprobsAlone({ forward, scores }: CollectOptions): boolean {
  return forward !== undefined && [...forward, ...scores.policy].every((name) => name === 'logprobs');
}

function logprobsOf({ prompts, completions }: Rollouts): Float64Array[][] {
  return prompts.map((_, at) => completions.filter(({ prompt }) => prompt === at).map(({ logprobs }) => logprobs));
}

type Table = readonly (readonly Float64Array[])[];

/** What is scored along with the policy's own, as it reads the reference anyway. */
function besides(reference: readonly ScoreName[], divergence: boolean): ScoreName[] {
  if (reference.length === 0) return [];
  return ['referenceLogprobs', ...(divergence ? ['reverseKl' as const, 'forwardKl' as const] : [])];
}

function scoresOn(grid: Grid, old: ReferenceTable, reference: ReferenceTable): RolloutScores {
  const { logprobs, entropy, values, reverseKl, forwardKl } = old;
  return {
    logprobs: flat(grid, logprobs!),
    ...(entropy && { entropy: flat(grid, entropy) }),
    ...(reference.logprobs && { referenceLogprobs: flat(grid, reference.logprobs) }),
    ...(values && { values: flat(grid, values) }),
    ...(reverseKl && { reverseKl: flat(grid, reverseKl) }),
    ...(forwardKl && { forwardKl: flat(grid, forwardKl) }),
  };
}
