import { plan, treeTokens } from '@kelpie/data';
import type { Grid } from '@kelpie/objectives';
import {
  type Completion,
  type Policy,
  type ScoreName,
  type TokenScores,
  type TokenTree,
  treeOf,
  type Vjp,
} from '@kelpie/policy';
import type { ReferenceTable } from '../rows.js';
import { type Example, gridOf, pack, scoresOf } from '../rows.js';
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

type Budget = Pick<OnlineOptions, 'microBatchTokens' | 'microBatchRows'> & {
  /** Whether forward and backward passes of a micro-batch are one run, which holds all in between: short ones are faster. */
  readonly atOnce?: boolean;
};

/** Completions and their lengths are often powers of two, as budgets are: their prompts shall find room beside them. */
const ROOM = 1.25;
/** Tokens of a run forward and back; with `ROOM` for prompts. */
const AT_ONCE_TOKENS = 1024;

/** Whether a policy takes micro-batches of these forward and back in one run, and decodes as it scores. */
export function runsAtOnce({ tokensAtOnce = 0 }: Policy['info'], examples: readonly Example[]): boolean {
  const longest = examples.reduce((most, { tree }) => Math.max(most, treeTokens(tree)), AT_ONCE_TOKENS);
  return tokensAtOnce >= ROOM * longest;
}

/** Indices of examples, split as memory wants it. A group is never split. */
export function microBatches(
  examples: readonly Example[],
  { microBatchTokens = 0, microBatchRows, atOnce = false }: Budget,
  { parameters }: { readonly parameters: number },
): readonly (readonly number[])[] {
  if (examples.length === 0) return [];
  const longest = examples.reduce((most, { tree }) => Math.max(most, treeTokens(tree)), 1);
  return plan({
    examples,
    rowsPerStep: examples.length,
    shuffle: false,
    microBatchTokens:
      microBatchTokens > 0
        ? Math.max(longest, microBatchTokens)
        : Math.floor(ROOM * (atOnce ? Math.max(longest, AT_ONCE_TOKENS) : budgetOf(parameters, examples))),
    ...(microBatchRows !== undefined && { microBatchRows }),
  }).at(0).microBatches;
}

/** A forward pass over a micro-batch, made or to be made, that waits for its cotangents. */
export interface Forward {
  /** Indices of the examples. */
  readonly batch: readonly number[];
  readonly trees: readonly TokenTree[];
  readonly vjp: Vjp;
  /** Whether the pass is to be made when the cotangents are there: its scores come then. */
  readonly later: boolean;
}

/** Scores that passes gave when they were made. */
export type Scored = ReadonlyMap<Forward, TokenScores>;

/**
 * Tokens of forward passes that wait at once, at most; but one may. A pass keeps some 13 numbers of a token for each layer and
 * hidden unit, about parameters/hidden size, and hidden sizes go with the root of the parameters: 1 GB.
 */
const waitingTokens = (parameters: number): number => Math.min(ROOM * 4096, 2e7 / Math.sqrt(parameters));

interface Scoring extends Budget, Pick<OnlineOptions, 'temperature'> {
  readonly scores: readonly ScoreName[];
  readonly of?: 'policy' | 'reference';
}

/** Scores of all completions: by score, by prompt, by completion. */
export async function scoreTable(
  policy: Policy,
  examples: readonly Example[],
  { scores, of = 'policy', temperature, ...budget }: Scoring,
): Promise<ReferenceTable> {
  const table = emptyTable(scores, examples);
  for (const batch of microBatches(examples, budget, policy.info)) {
    const trees = batch.map((index) => examples[index]!.tree);
    tell(table, examples, batch, await policy.score({ trees, scores, of, temperature }));
  }
  return table;
}

/**
 * The same, by forward passes that training goes on from, of the first micro-batches: as far as memory allows, which with a
 * budget of one's own is one. The others are scored before, so that no two wait beside a third.
 */
export async function scoreForward(
  policy: Policy,
  examples: readonly Example[],
  { scores, temperature, ...budget }: Omit<Scoring, 'of'>,
): Promise<{ readonly table: ReferenceTable; readonly forwards: readonly Forward[] }> {
  const table = emptyTable(scores, examples);
  const batches = microBatches(examples, budget, policy.info);
  const treesOf = (batch: readonly number[]) => batch.map((index) => examples[index]!.tree);
  const asked = budget.microBatchTokens !== undefined || budget.microBatchRows !== undefined;
  const most = asked ? 0 : waitingTokens(policy.info.parameters);
  let tokens = 0;
  const waiting = batches.filter((batch, at) => {
    tokens += treesOf(batch).reduce((sum, tree) => sum + treeTokens(tree), 0);
    return at === 0 || tokens <= most;
  });
  for (const batch of batches.slice(waiting.length)) {
    tell(table, examples, batch, await policy.score({ trees: treesOf(batch), scores, temperature }));
  }
  const forwards: Forward[] = [];
  const wait = async (batch: readonly number[]) => {
    const trees = treesOf(batch);
    const vjp = await policy.vjp({ trees, scores, temperature });
    forwards.push({ batch, trees, vjp, later: false });
    tell(table, examples, batch, vjp.scores);
  };
  for (const batch of waiting) await wait(batch).catch((error) => lettingGo(forwards)(error));
  return { table, forwards };
}

/**
 * Passes to be made when training has its cotangents, where the policy's log-probabilities are known: what is scored now is
 * the reference.
 * @param logprobs by prompt, by completion
 */
export async function scoreLater(
  policy: Policy,
  examples: readonly Example[],
  logprobs: NonNullable<ReferenceTable['logprobs']>,
  { scores, temperature, ...budget }: Omit<Scoring, 'of'>,
): Promise<{ readonly table: ReferenceTable; readonly forwards: readonly Forward[] }> {
  const reference = scores.filter((name) => name === 'referenceLogprobs');
  const table = emptyTable(reference, examples);
  const forwards: Forward[] = [];
  for (const batch of microBatches(examples, { ...budget, atOnce: true }, policy.info)) {
    const trees = batch.map((index) => examples[index]!.tree);
    const known = pack(
      gridOf(trees),
      batch.flatMap((index) => logprobs[index]!),
    );
    const vjp = await policy.vjp({ trees, scores, temperature, logprobs: known }).catch(lettingGo(forwards));
    forwards.push({ batch, trees, vjp, later: true });
    tell(table, examples, batch, vjp.scores);
  }
  return { table: { ...table, logprobs }, forwards };
}

/** What the passes of `scoreLater` gave in the end. */
export function scoredTable(
  examples: readonly Example[],
  scores: readonly ScoreName[],
  scored: Scored,
): ReferenceTable {
  const table = emptyTable(scores, examples);
  for (const [{ batch }, given] of scored) tell(table, examples, batch, given);
  return table;
}

/** What no update went on from takes memory no longer. */
export async function letGo(forwards: readonly Forward[]): Promise<void> {
  for (const { vjp } of forwards) await vjp.release();
}

/** The same where something fails: the error goes on, whatever becomes of the passes. */
export function lettingGo(forwards: readonly Forward[]): (error: unknown) => Promise<never> {
  return (error) => {
    const goOn = () => Promise.reject(error);
    return letGo(forwards).then(goOn, goOn);
  };
}

type Table = Record<string, Float64Array[][]>;

const emptyTable = (scores: readonly ScoreName[], examples: readonly Example[]): Table =>
  Object.fromEntries(scores.map((name) => [name, examples.map(() => [])]));

/** Puts the scores of some examples into their places. */
function tell(table: Table, examples: readonly Example[], batch: readonly number[], scored: TokenScores): void {
  const values = scoresOf(scored) as Readonly<Record<string, Float64Array>>;
  const lengths = rowLengthsOf(batch.map((index) => examples[index]!.tree));
  let row = 0;
  for (const index of batch) {
    for (const _ of examples[index]!.tree.branches) {
      const from = row * scored.tokens;
      for (const [name, own] of Object.entries(table))
        own[index]!.push(values[name]!.slice(from, from + lengths[row]!));
      row++;
    }
  }
}

function rowLengthsOf(trees: Parameters<typeof gridOf>[0]): readonly number[] {
  const { rows, tokens, completionMask } = gridOf(trees);
  return Array.from({ length: rows }, (_, row) =>
    completionMask.subarray(row * tokens, (row + 1) * tokens).reduce((sum, bit) => sum + bit, 0),
  );
}
