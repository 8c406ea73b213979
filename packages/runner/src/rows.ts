import type { Where } from '@kelpie/data';
import {
  countTotals,
  type Grid,
  type ObjectiveInput,
  type RowKind,
  type RowTable,
  type Scores,
  type TokenTable,
  type Totals,
} from '@kelpie/objectives';
import { KelpieError, scoredTokens, type TokenScores, type TokenTree, type Vjp } from '@kelpie/policy';

/** One entry of the data: a text, a pair, a prompt with its rollouts. Each branch of its tree is a row. */
export interface Example {
  readonly id: string;
  readonly tree: TokenTree;
  readonly where?: Where;
  /** [branches]: 1 desirable, 0 undesirable, for objectives that ask. */
  readonly labels?: readonly number[];
  /** [branches], for objectives that ask. */
  readonly rewards?: readonly number[];
  /** [branches], for objectives that ask. */
  readonly densityRatios?: readonly number[];
  /** [branches]: of a pair, the same on both, for objectives that ask. */
  readonly margins?: readonly number[];
  /** [branches]: equal numbers tie, for objectives that ask. */
  readonly ranks?: readonly number[];
  /** [branches]: log of an unnormalised target probability, for objectives that ask. NaN: none is known. */
  readonly targetLogScores?: readonly number[];
  /** [branches]: 1 on a completion that the policy did not draw, for objectives that ask. */
  readonly external?: readonly number[];
  /** The prompt with completions of other prompts, for objectives that ask: scored without gradient, never trained on. */
  readonly mismatched?: TokenTree;
  /** [branches]: path positions where the completions begin, where tokens of the prompt before them are scored too. */
  readonly completionFrom?: readonly number[];
}

/** By score, by example, by branch: [scored tokens]. */
export type ReferenceTable = { readonly [Name in keyof Scores]: readonly (readonly Float64Array[])[] };

/** Examples with the reference's scores of each. */
export interface Rows {
  readonly examples: readonly Example[];
  readonly reference: ReferenceTable;
  /** The reference's scores of the examples' mismatched trees, for objectives that ask. */
  readonly mismatched?: ReferenceTable;
}

/** Trees with the reference's scores of them. */
export interface ScoredTrees extends Grid {
  readonly trees: readonly TokenTree[];
  readonly examples: readonly Example[];
  readonly reference: Scores;
}

/** Some examples as an objective takes them, all but the policy's scores. */
export interface Part extends ScoredTrees {
  readonly perRow: Partial<RowTable>;
  readonly perToken: Partial<TokenTable>;
  /** Scores of the policy that drew the rows, of rollouts. */
  readonly old?: Scores;
  readonly mismatched?: ScoredTrees;
  /** Its forward pass, where it was made beforehand with the weights as they stand and all scores that are needed. */
  readonly forward?: Vjp;
  /** Of this part alone. */
  readonly totals: Totals;
}

/** The examples of these indices. Row order: examples in order, branches in order within an example. */
export function partOf(
  kind: RowKind,
  { examples: all, reference, mismatched }: Rows,
  indices: readonly number[],
): Part {
  const examples = indices.map((index) => all[index]!);
  const trees = examples.map(({ tree }) => tree);
  const scored = scoredTrees(examples, trees, reference, indices);
  const perRow = perRowOf(kind, examples);
  return {
    ...scored,
    perRow,
    perToken: perTokenOf(scored, examples),
    totals: countTotals(kind, { ...scored, perRow }),
    ...(mismatched && { mismatched: scoredTrees(examples, mismatchedTrees(examples), mismatched, indices) }),
  };
}

/** Each example's mismatched tree; an example without one is an error. */
export function mismatchedTrees(examples: readonly Example[]): TokenTree[] {
  return examples.map(({ id, mismatched }) => {
    if (mismatched !== undefined) return mismatched;
    throw new KelpieError('the row has no `mismatched` completions of other prompts, which the objective reads', {
      code: 'objective-not-offline',
      where: { row: id },
    });
  });
}

function scoredTrees(
  examples: readonly Example[],
  trees: readonly TokenTree[],
  table: ReferenceTable,
  indices: readonly number[],
): ScoredTrees {
  const grid = gridOf(trees);
  const reference = Object.fromEntries(
    Object.entries(table).map(([name, rows]) => [
      name,
      pack(
        grid,
        indices.flatMap((index) => rows![index]!),
      ),
    ]),
  );
  return { ...grid, trees, examples, reference };
}

/** [rows, tokens] of the completions, as a policy unpacks its scores. */
export function gridOf(trees: readonly TokenTree[]): Grid {
  const lengths = trees.flatMap((tree) => tree.branches.map((branch) => scoredTokens(tree, branch)));
  const tokens = lengths.reduce((longest, length) => Math.max(longest, length), 0);
  const completionMask = new Uint8Array(lengths.length * tokens);
  lengths.forEach((length, row) => {
    completionMask.fill(1, row * tokens, row * tokens + length);
  });
  return { rows: lengths.length, tokens, completionMask };
}

/** What rows bring along. */
export function perRowOf(kind: RowKind, examples: readonly Example[]): Partial<RowTable> {
  const given = (
    name: 'labels' | 'rewards' | 'densityRatios' | 'margins' | 'ranks' | 'targetLogScores' | 'external',
  ) =>
    examples.every((example) => example[name]?.length === example.tree.branches.length)
      ? examples.flatMap((example) => [...example[name]!])
      : undefined;
  const labels = given('labels');
  const rewards = given('rewards');
  const densityRatios = given('densityRatios');
  const margins = given('margins');
  const ranks = given('ranks');
  const targetLogScores = given('targetLogScores');
  const external = given('external');
  return {
    ...(labels && { labels: Uint8Array.from(labels) }),
    ...(rewards && { rewards: Float64Array.from(rewards) }),
    ...(densityRatios && { densityRatios: Float64Array.from(densityRatios) }),
    ...(margins && { margins: Float64Array.from(margins) }),
    ...(ranks && { ranks: Int32Array.from(ranks) }),
    ...(targetLogScores && { targetLogScores: Float64Array.from(targetLogScores) }),
    ...(external && { external: Uint8Array.from(external) }),
    ...(kind === 'groups' && {
      groups: Int32Array.from(examples.flatMap(({ tree }, group) => tree.branches.map(() => group))),
    }),
  };
}

/** Which of the scored tokens are the prompt's, if the examples say so. */
export function perTokenOf({ rows, tokens }: Grid, examples: readonly Example[]): Partial<TokenTable> {
  if (examples.length === 0 || examples.some(({ completionFrom }) => completionFrom === undefined)) return {};
  const promptTokens = new Float64Array(rows * tokens);
  examples
    .flatMap(({ tree: { branches }, completionFrom }) =>
      branches.map((branch, i) => completionFrom![i]! - branch.scoreFrom),
    )
    .forEach((length, row) => {
      promptTokens.fill(1, row * tokens, row * tokens + length);
    });
  return { promptTokens };
}

/** The example with the prompt scored along: of a pair the chosen side's, whose likelihood may take it in. */
export function withPromptScored(kind: RowKind, example: Example): Example {
  const { trunk, branches } = example.tree;
  return {
    ...example,
    tree: {
      trunk,
      branches: branches.map((branch, i) => (kind === 'pairs' && i % 2 === 1 ? branch : { ...branch, scoreFrom: 1 })),
    },
    completionFrom: branches.map(({ scoreFrom }) => scoreFrom),
  };
}

/** Rows of numbers as [rows, tokens], 0 behind each. */
export function pack({ rows, tokens }: Grid, values: readonly Float64Array[]): Float64Array {
  const packed = new Float64Array(rows * tokens);
  values.forEach((row, i) => {
    packed.set(row, i * tokens);
  });
  return packed;
}

/** What an objective is handed for one part of a step. */
export function inputOf(
  part: Part,
  scores: Scores,
  step: Pick<ObjectiveInput, 'totals' | 'batches' | 'state'>,
): ObjectiveInput {
  const { rows, tokens, completionMask, reference, old, perRow, perToken } = part;
  const given = { rows, tokens, completionMask, policy: scores, reference, perRow, perToken };
  return { ...given, ...(old && { old }), ...step };
}

/** The scores alone. */
export function scoresOf({ rows: _rows, tokens: _tokens, completionMask: _mask, ...scores }: TokenScores): Scores {
  return scores;
}

/** Throws at the first score that is not finite, with its row. */
export function requireFinite(
  { tokens, completionMask, examples }: Pick<Part, 'tokens' | 'completionMask' | 'examples'>,
  scores: Scores,
  where: Readonly<Record<string, string | number>>,
): void {
  for (const [score, values] of Object.entries(scores)) {
    const bad = values.findIndex((value, at) => completionMask[at] === 1 && !Number.isFinite(value));
    if (bad < 0) continue;
    const { example, branch } = exampleOfRow(examples, Math.floor(bad / tokens));
    throw new KelpieError(`the score \`${score}\` is ${values[bad]}: the run stops; a smaller learning rate may help`, {
      code: 'not-finite',
      where: { score, row: example.id, branch, token: bad % tokens, ...where },
    });
  }
}

export function exampleOfRow(
  examples: readonly Example[],
  row: number,
): { readonly example: Example; readonly branch: number } {
  let first = 0;
  for (const example of examples) {
    const { length } = example.tree.branches;
    if (row < first + length) return { example, branch: row - first };
    first += length;
  }
  throw new RangeError(`there is no row ${row}`);
}

/** Ids of examples, for messages. */
export function idsOf(examples: readonly Example[]): string {
  const ids = examples.map(({ id }) => id);
  return ids.length > 3 ? `${ids.slice(0, 3).join(', ')} and ${ids.length - 3} more` : ids.join(', ');
}
