import { rowsByGroup } from '@kelpie/objectives';
import type { Policy } from '@kelpie/policy';
import type { RolloutScores } from './metrics.js';
import { anyJudged, momentsOf } from './metrics.js';
import type { Shaped } from './penalties.js';
import type { Judged } from './rewards.js';
import { type DrawOptions, type Rollouts, rolloutsOf } from './rollouts.js';

/** The rollouts with as many completions of the reference beside them: those of a prompt together, the policy's first. */
export async function withOpponents(
  policy: Policy,
  own: Rollouts,
  { completions, maxNewTokens, temperature, stop, seed, signal, ...truncation }: DrawOptions,
): Promise<Rollouts> {
  const { prompts, sampler } = own;
  const { topK, topP, minP } = truncation;
  const others = await policy.sample(
    {
      prompts: prompts.map(({ ids }) => ids),
      of: 'reference',
      // With the numbers of the policy's own draws both would say the same as long as they are one.
      seed: ~seed,
      ...{ completions, maxNewTokens, temperature, stop },
      ...(topK !== undefined && { topK }),
      ...(topP !== undefined && { topP }),
      ...(minP !== undefined && { minP }),
    },
    signal ? { signal } : {},
  );
  const both = prompts.flatMap((_, at) =>
    [own.completions, others].map((all) => all.filter(({ prompt }) => prompt === at)),
  );
  const external = both.flatMap((completions, side) => completions.map(() => side % 2));
  return { ...rolloutsOf(prompts, both.flat(), sampler), external: Uint8Array.from(external) };
}

/**
 * Rows of pairs: completion i of the policy and completion i of the reference to the same prompt, the better one first. Where
 * neither is better, or one is not judged, there is none.
 */
export function duels(rewards: Float64Array, groups: Int32Array, external: Uint8Array): Int32Array {
  return Int32Array.from(
    pairsOf(groups, external).flatMap(([own, other]) => {
      if (rewards[own]! > rewards[other]!) return [own, other];
      return rewards[own]! < rewards[other]! ? [other, own] : [];
    }),
  );
}

/** Rows of the policy's and the reference's completions that stand against each other. */
function pairsOf(groups: Int32Array, external: Uint8Array): [own: number, other: number][] {
  return rowsByGroup(groups).flatMap((rows) => {
    const own = rows.filter((row) => external[row] === 0);
    const others = rows.filter((row) => external[row] === 1);
    return own.map((row, at): [number, number] => [row, others[at]!]);
  });
}

/**
 * How the reference did: `reference/reward` its mean reward, `reference/win_rate` the share of pairs that the policy won, ties
 * half. Over what was judged; without any there is no key.
 */
export function duelMetrics(
  { groups, external }: Pick<Rollouts, 'groups' | 'external'>,
  rewards: Float64Array,
): Readonly<Record<string, number>> {
  if (external === undefined) return {};
  const ofReference = rewards.filter((_, row) => external[row] === 1);
  const judged = (row: number) => !Number.isNaN(rewards[row]);
  const pairs = pairsOf(groups, external).filter((pair) => pair.every(judged)).length;
  const chosen = duels(rewards, groups, external).filter((_, at) => at % 2 === 0);
  const won = chosen.filter((row) => external[row] === 0).length;
  return {
    ...(anyJudged(ofReference) && { 'reference/reward': momentsOf(ofReference).mean }),
    ...(pairs > 0 && { 'reference/win_rate': (won + (pairs - chosen.length) / 2) / pairs }),
  };
}

interface Seen {
  readonly rollouts: Rollouts;
  readonly judged: Judged;
  readonly scores: RolloutScores;
  readonly sampled?: Float64Array | undefined;
  readonly shaped: Shaped;
}

/** The policy's own rows: what is told of a step is told of these. */
export function ownRows(seen: Seen): Seen {
  const { rollouts, judged, scores, sampled, shaped } = seen;
  const { external, tokens } = rollouts;
  if (external === undefined) return seen;
  const rows = [...external.keys()].filter((row) => external[row] === 0);
  const numbers = (values: Float64Array) => kept(values, rows);
  const table = (values: Readonly<Record<string, Float64Array>>, width: number) =>
    Object.fromEntries(Object.entries(values).map(([name, cells]) => [name, kept(cells, rows, width)]));
  return {
    rollouts: {
      ...rollouts,
      rows: rows.length,
      completionMask: kept(rollouts.completionMask, rows, tokens),
      completions: rows.map((row) => rollouts.completions[row]!),
      groups: kept(rollouts.groups, rows),
      ended: kept(rollouts.ended, rows),
    },
    judged: {
      ...judged,
      rewards: numbers(judged.rewards),
      terms: judged.terms.map(numbers),
      parts: table(judged.parts, 1),
      watched: table(judged.watched, 1),
    },
    scores: table(scores as unknown as Record<string, Float64Array>, tokens) as unknown as RolloutScores,
    ...(sampled && { sampled: kept(sampled, rows, tokens) }),
    shaped: {
      rewards: numbers(shaped.rewards),
      penalties: numbers(shaped.penalties),
      tokenRewards: kept(shaped.tokenRewards, rows, tokens),
    },
  };
}

/** [rows, width] of some rows. */
function kept<Cells extends Float64Array | Uint8Array | Int32Array>(
  values: Cells,
  rows: readonly number[],
  width = 1,
): Cells {
  const some = values.slice(0, rows.length * width) as Cells;
  rows.forEach((row, at) => {
    some.set(values.subarray(row * width, (row + 1) * width), at * width);
  });
  return some;
}
