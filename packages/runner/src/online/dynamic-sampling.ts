import { plan } from '@kelpie/data';
import { informativeRows } from '@kelpie/objectives';
import type { Policy } from '@kelpie/policy';
import type { RewardState } from '@kelpie/rewards';
import type { CollectOptions, PhaseTime } from './collect.js';
import { anyJudged, momentsOf } from './metrics.js';
import { withOpponents } from './opponents.js';
import { type Judged, judge } from './rewards.js';
import { draw, type OnlinePrompt, type Rollouts, rolloutsOf } from './rollouts.js';
import { stopwatch } from './stopwatch.js';
import { rewardRows } from './texts.js';

interface Round {
  readonly rollouts: Rollouts;
  readonly judged: Judged;
}

export interface JudgedRollouts extends Round {
  /** Of everything that was drawn, what was given up included. */
  readonly times: { readonly sampling: PhaseTime; readonly rewarding: PhaseTime };
  readonly metrics: Readonly<Record<string, number>>;
}

/**
 * Draws and judges. With a `pool`, groups whose completions all have one reward, which teach nothing, are given up for groups
 * of other prompts, at most `dynamicSampling` times: Yu et al. 2025, arXiv:2503.14476 (DAPO). What is drawn depends on seed
 * and rewards alone. What is left dull stays. Tells `dynamic_sampling/rounds`, `/redrawn_groups`, `/dull_groups`, those left,
 * and `/reward_before`, the policy's mean reward before any was given up: that of the groups that are kept says less of it.
 */
export async function drawJudged(
  policy: Policy,
  prompts: readonly OnlinePrompt[],
  options: CollectOptions,
): Promise<JudgedRollouts> {
  const { seed, pool, dynamicSampling = 0, tokenizer, signal } = options;
  const clock = stopwatch();
  const spent = { sampling: 0, rewarding: 0, tokens: 0 };
  const drawRound = async (of: readonly OnlinePrompt[], seed: number, state: RewardState): Promise<Round> => {
    clock();
    const own = await draw(policy, of, { ...options, seed });
    const rollouts = options.opponents ? await withOpponents(policy, own, { ...options, seed }) : own;
    spent.sampling += clock();
    spent.tokens += rollouts.completionMask.reduce((sum, bit) => sum + bit, 0);
    const judged = await judge(options, rewardRows(rollouts, tokenizer), { state, ...(signal && { signal }) });
    spent.rewarding += clock();
    return { rollouts, judged };
  };
  let now = await drawRound(prompts, seed, options.state);
  const result = (metrics: Readonly<Record<string, number>>): JudgedRollouts => ({
    ...now,
    times: {
      sampling: { seconds: spent.sampling, tokens: spent.tokens },
      rewarding: { seconds: spent.rewarding, tokens: spent.tokens },
    },
    metrics,
  });
  if (pool === undefined || dynamicSampling === 0) return result({});
  const { external } = now.rollouts;
  const before = now.judged.rewards.filter((_, row) => external?.[row] !== 1);
  const tried = new Set(prompts);
  let redrawn = 0;
  let rounds = 0;
  for (let dull = dullGroups(now); dull.length > 0 && rounds < dynamicSampling; dull = dullGroups(now)) {
    rounds++;
    const roundSeed = (seed + Math.imul(rounds, 0x85ebca6b)) | 0;
    const fresh = others(pool, tried, dull.length, roundSeed);
    for (const prompt of fresh) tried.add(prompt);
    now = replaced(now, dull, await drawRound(fresh, roundSeed, now.judged.state));
    redrawn += dull.length;
  }
  return result({
    'dynamic_sampling/rounds': rounds,
    'dynamic_sampling/redrawn_groups': redrawn,
    'dynamic_sampling/dull_groups': dullGroups(now).length,
    ...(anyJudged(before) && { 'dynamic_sampling/reward_before': momentsOf(before).mean }),
  });
}

/** Places of the prompts all of whose completions have one reward. */
function dullGroups({ rollouts: { prompts, groups }, judged: { rewards } }: Round): number[] {
  const informative = informativeRows({ rewards, groups });
  const perPrompt = groups.length / prompts.length;
  return [...prompts.keys()].filter((prompt) => informative[prompt * perPrompt] === 0);
}

/** So many prompts of the pool in an order of the seed's, those that were tried only where no others are left. */
function others(
  pool: readonly OnlinePrompt[],
  tried: ReadonlySet<OnlinePrompt>,
  count: number,
  seed: number,
): OnlinePrompt[] {
  const untried = pool.filter((prompt) => !tried.has(prompt));
  const from = untried.length > 0 ? untried : pool;
  const examples = from.map(({ ids }) => ({ tree: { trunk: ids, branches: [] } }));
  const order = plan({ examples, rowsPerStep: 1, shuffle: true, epochs: Number.POSITIVE_INFINITY, seed });
  return Array.from({ length: count }, (_, at) => from[order.at(at).rows[0]!]!);
}

/** The round with the groups at these places given up for those of another. */
function replaced({ rollouts, judged }: Round, places: readonly number[], fresh: Round): Round {
  const perPrompt = rollouts.groups.length / rollouts.prompts.length;
  const put = (values: Float64Array, from: Float64Array) => {
    const all = values.slice();
    places.forEach((place, at) => {
      all.set(from.subarray(at * perPrompt, (at + 1) * perPrompt), place * perPrompt);
    });
    return all;
  };
  const table = (of: Readonly<Record<string, Float64Array>>, from: Readonly<Record<string, Float64Array>>) =>
    Object.fromEntries(Object.entries(of).map(([name, values]) => [name, put(values, from[name]!)]));
  const source = new Map(places.map((place, at) => [place, at]));
  const prompts = rollouts.prompts.map((prompt, place) => {
    const at = source.get(place);
    return at === undefined ? prompt : fresh.rollouts.prompts[at]!;
  });
  const completions = prompts.flatMap((_, place) => {
    const at = source.get(place);
    const [from, group] = at === undefined ? [rollouts, place] : [fresh.rollouts, at];
    const own = from.completions.slice(group * perPrompt, (group + 1) * perPrompt);
    return own.map((completion) => ({ ...completion, prompt: place }));
  });
  const warnings = [...(rollouts.sampler.warnings ?? []), ...(fresh.rollouts.sampler.warnings ?? [])];
  const sampler = { ...rollouts.sampler, ...(warnings.length > 0 && { warnings }) };
  return {
    rollouts: {
      ...rolloutsOf(prompts, completions, sampler),
      ...(rollouts.external && { external: rollouts.external }),
    },
    judged: {
      rewards: put(judged.rewards, fresh.judged.rewards),
      terms: judged.terms.map((term, at) => put(term, fresh.judged.terms[at]!)),
      weights: judged.weights,
      parts: table(judged.parts, fresh.judged.parts),
      watched: table(judged.watched, fresh.judged.watched),
      state: fresh.judged.state,
    },
  };
}
