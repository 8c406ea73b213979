import { plan, treeTokens } from '@kelpie/data';
import type { Grid } from '@kelpie/objectives';
import { type Completion, type Policy, type ScoreName, treeOf } from '@kelpie/policy';
import type { ReferenceTable } from '../rows.js';
import { type Example, gridOf, scoresOf } from '../rows.js';
import { budgetOf } from '../train-options.js';
import { type Drawn, inProcess, type RolloutEngine } from './engines/index.js';
import type { OnlineOptions } from './options.js';

export interface OnlinePrompt {
  readonly id: string;
  readonly ids: readonly number[];
  /** As it is shown and handed to rewards. Default: the ids, decoded. */
  readonly text?: string;
  /** What rewards may look at: `answer`, `category` ... */
  readonly meta?: Readonly<Record<string, unknown>>;
}

/** The completions of a step, those of a prompt together: row r is completion r mod n of prompt ⌊r/n⌋. */
export interface Rollouts extends Grid {
  readonly prompts: readonly OnlinePrompt[];
  readonly completions: readonly Completion[];
  /** What the engine says of how it drew them. */
  readonly sampler: Omit<Drawn, 'completions'>;
  /** One a prompt, its completions the branches. */
  readonly examples: readonly Example[];
  /** [rows]: number of the prompt. */
  readonly groups: Int32Array;
  /** [rows]: 1 where the end token ended it. */
  readonly ended: Uint8Array;
  /** [rows]: 1 where the reference drew it; absent where it drew none. */
  readonly external?: Uint8Array;
}

type Truncating = 'topK' | 'topP' | 'minP';

export interface DrawOptions extends Pick<OnlineOptions, 'maxNewTokens' | 'temperature' | Truncating> {
  readonly completions: number;
  readonly stop: readonly number[];
  readonly seed: number;
  readonly signal?: AbortSignal;
  /** Default: the policy's own decoder. */
  readonly engine?: RolloutEngine;
  /** Steps that the policy has learnt from; read by an engine with weights of its own. Default 0. */
  readonly version?: number;
}

/** Completions of the policy as it stands. */
export async function draw(
  policy: Policy,
  prompts: readonly OnlinePrompt[],
  {
    completions: count,
    maxNewTokens,
    temperature,
    topK,
    topP,
    minP,
    stop,
    seed,
    signal,
    engine = inProcess,
    version = 0,
  }: DrawOptions,
): Promise<Rollouts> {
  const request = {
    ...{ prompts, completions: count, maxNewTokens, temperature, stop, seed, version },
    ...(topK !== undefined && { topK }),
    ...(topP !== undefined && { topP }),
    ...(minP !== undefined && { minP }),
  };
  const { completions, ...sampler } = await engine.draw(policy, { ...request, ...(signal && { signal }) });
  return rolloutsOf(prompts, completions, sampler);
}

/** Completions of these prompts, those of a prompt together. */
export function rolloutsOf(
  prompts: readonly OnlinePrompt[],
  completions: readonly Completion[],
  sampler: Rollouts['sampler'],
): Rollouts {
  const examples = prompts.map(({ id, ids: prompt }, at) => {
    const own = completions.filter((completion) => completion.prompt === at);
    const sequences = own.map(({ ids }) => ({ ids: [...prompt, ...ids], scoreFrom: prompt.length }));
    return { id, tree: treeOf(sequences) };
  });
  return {
    ...gridOf(examples.map(({ tree }) => tree)),
    prompts,
    completions,
    sampler,
    examples,
    groups: Int32Array.from(completions, ({ prompt }) => prompt),
    ended: Uint8Array.from(completions, ({ ended }) => (ended ? 1 : 0)),
  };
}

type Budget = Pick<OnlineOptions, 'microBatchTokens' | 'microBatchRows'>;

/** Indices of examples, split as memory wants it. A group is never split. */
export function microBatches(
  examples: readonly Example[],
  { microBatchTokens = 0, microBatchRows }: Budget,
  { parameters }: { readonly parameters: number },
): readonly (readonly number[])[] {
  if (examples.length === 0) return [];
  const longest = examples.reduce((most, { tree }) => Math.max(most, treeTokens(tree)), 1);
  return plan({
    examples,
    rowsPerStep: examples.length,
    shuffle: false,
    microBatchTokens: microBatchTokens === 0 ? budgetOf(parameters, examples) : Math.max(longest, microBatchTokens),
    ...(microBatchRows !== undefined && { microBatchRows }),
  }).at(0).microBatches;
}

/** Scores of all completions: by score, by prompt, by completion. */
export async function scoreTable(
  policy: Policy,
  examples: readonly Example[],
  {
    scores,
    of = 'policy',
    temperature,
    ...budget
  }: { readonly scores: readonly ScoreName[]; readonly of?: 'policy' | 'reference' } & Budget &
    Pick<OnlineOptions, 'temperature'>,
): Promise<ReferenceTable> {
  const table = Object.fromEntries(scores.map((name) => [name, examples.map((): Float64Array[] => [])]));
  for (const batch of microBatches(examples, budget, policy.info)) {
    const trees = batch.map((index) => examples[index]!.tree);
    const { tokens, ...given } = await policy.score({ trees, scores, of, temperature });
    const values = scoresOf({ tokens, ...given });
    const lengths = rowLengthsOf(trees);
    let row = 0;
    for (const index of batch) {
      for (const _ of examples[index]!.tree.branches) {
        const from = row * tokens;
        for (const name of scores) table[name]![index]!.push(values[name]!.slice(from, from + lengths[row]!));
        row++;
      }
    }
  }
  return table;
}

function rowLengthsOf(trees: Parameters<typeof gridOf>[0]): readonly number[] {
  const { rows, tokens, completionMask } = gridOf(trees);
  return Array.from({ length: rows }, (_, row) =>
    completionMask.subarray(row * tokens, (row + 1) * tokens).reduce((sum, bit) => sum + bit, 0),
  );
}
