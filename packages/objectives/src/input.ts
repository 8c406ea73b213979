import { type Problem, type ProblemCode, throwIfAny } from './errors.js';
import { type Grid, rowLengths, total } from './numerics.js';

/**
 * Numbers a policy gives per scored token, in nats; p is the policy's distribution of the next token, q the reference's.
 * Divergences are exact, over the whole vocabulary. A further score is one more name here.
 *   logprobs           log-probability of the realised token
 *   entropy            entropy of p
 *   values             value estimate before the token
 *   logSumSquares      log Σ_v p_v², the log of the probability that two draws agree
 *   forwardKl          KL(q ‖ p)
 *   reverseKl          KL(p ‖ q)
 *   js                 KL(p ‖ m) + KL(q ‖ m), m = (p + q)/2
 *   pearsonChi2        Σ p²/q - 1
 *   halfChi2PlusKl     half of Pearson's χ² plus KL(p ‖ q)
 *   neymanChi2         Σ q²/p - 1
 *   squaredHellinger   Σ (√p - √q)²
 *   totalVariation     Σ |p - q|/2
 */
export const scoreNames = [
  ...(['logprobs', 'entropy', 'forwardKl', 'reverseKl', 'values', 'logSumSquares'] as const),
  ...(['js', 'pearsonChi2', 'halfChi2PlusKl', 'neymanChi2', 'squaredHellinger', 'totalVariation'] as const),
] as const;

/**
 * Divergences that differ by a number in (0, 1), written behind the name: `alpha(0.3)`.
 *   alpha(a)           (1 - Σ p^(1-a) q^a)/(a(1-a))
 *   jsd(b)             b KL(q ‖ m) + (1-b) KL(p ‖ m), m = (1-b) p + b q
 *   skewForwardKl(s)   KL(q ‖ s q + (1-s) p)
 *   skewReverseKl(s)   KL(p ‖ s p + (1-s) q)
 */
export const scoreFamilies = ['alpha', 'jsd', 'skewForwardKl', 'skewReverseKl'] as const;
type NumberedName = `${(typeof scoreFamilies)[number]}(${number})`;
export type ScoreName = (typeof scoreNames)[number] | NumberedName;

const ofPolicyAlone: readonly ScoreName[] = ['logprobs', 'entropy', 'values', 'logSumSquares'];

/** Whether a score of the policy also reads the reference's distributions, which then has to be in memory. */
export function isDivergence(name: ScoreName): boolean {
  return !ofPolicyAlone.includes(name);
}

/** Names of the scores that tables hold, each once. */
export function scoresIn(...tables: readonly (Scores | undefined)[]): ScoreName[] {
  const names = tables.flatMap((table) =>
    Object.entries(table ?? {}).flatMap(([name, values]) => (values ? [name] : [])),
  );
  return [...new Set(names)].filter(isScoreName);
}

function isScoreName(name: string): name is ScoreName {
  return scoreNames.some((known) => known === name) || scoreFamilies.some((family) => name.startsWith(`${family}(`));
}

/** Each [rows, tokens], row-major, left-aligned: column 0 is the completion's first scored token. */
export type Scores = { readonly [Name in (typeof scoreNames)[number]]?: Float64Array } & {
  readonly [Name in NumberedName]: Float64Array;
};

/** d loss / d score, each [rows, tokens] like the scores; what is absent is zero. */
export type Cotangents = Scores;

/** Numbers a row brings along, each [rows]. */
export interface RowTable {
  /** 1 desirable, 0 undesirable. */
  readonly labels: Uint8Array;
  /** Group of each row; the rows of a group stand together. */
  readonly groups: Int32Array;
  /** Of the completion. NaN: not judged. */
  readonly rewards: Float64Array;
  /** How many times likelier the row's prompt is among desirable rows than among undesirable ones; positive. */
  readonly densityRatios: Float64Array;
  /** Place in the ranking of the row's group, 0 the best; equal numbers tie, a negative one takes no part. */
  readonly ranks: Int32Array;
  /** 1 on a completion that the policy did not draw, a demonstration or an offline one; 0 on the policy's own. */
  readonly external: Uint8Array;
  /** Of a pair, on both its rows: by how much the reward of chosen is to lie above that of rejected. */
  readonly margins: Float64Array;
  /** log of an unnormalised target probability of the completion, in nats. NaN: none is known. */
  readonly targetLogScores: Float64Array;
}
export type RowField = keyof RowTable;

/** Numbers a token brings along, each [rows, tokens]. */
export interface TokenTable {
  readonly advantages: Float64Array;
  readonly returns: Float64Array;
  /** 1 on a token of the prompt that is scored with the completion, 0 on the completion's own. */
  readonly promptTokens: Float64Array;
  /** Not negative: how much a token counts in the reward. */
  readonly rewardWeights: Float64Array;
  /** Not negative: how much a token's divergence counts. */
  readonly klWeights: Float64Array;
  /** log-probability of a token under the policy that wrote it, where that is neither policy, reference nor old. */
  readonly behaviourLogprobs: Float64Array;
}
export type TokenField = keyof TokenTable;

/**
 * How rows belong together.
 *   single     each row stands for itself
 *   pairs      row 2i is chosen, row 2i + 1 rejected
 *   unpaired   each row has a label
 *   groups     the completions of one prompt stand together and share `perRow.groups`
 */
export type RowKind = 'single' | 'pairs' | 'unpaired' | 'groups';

/** Counts of a whole step, over all its micro-batches. They add up: see `countTotals`, `addTotals`. */
export interface Totals {
  readonly rows: number;
  /** Rows with at least one completion token. */
  readonly nonEmptyRows: number;
  /** Pairs, groups, or single rows: what a mean over preferences divides by. */
  readonly groups: number;
  /** Completion tokens. */
  readonly scoredTokens: number;
  /** Completion tokens of the chosen (or desirable) side; of all rows where there are no sides. */
  readonly chosenTokens: number;
  /** Rows of the chosen (or desirable) side; all rows where there are no sides. */
  readonly chosenRows: number;
  /** Rows that `perRow.external` marks, and their completion tokens. */
  readonly externalRows: number;
  readonly externalTokens: number;
}

/** Numbers that an objective carries from step to step, by name: a running mean. Plain JSON, so that runs resume. */
export type ObjectiveState = Readonly<Record<string, number>>;

/** Rows scored by policy and reference, without gradient. */
export interface ScoredBatch extends Grid {
  readonly policy: Scores;
  readonly reference?: Scores;
}

/**
 * Further batches whose scores an objective reads as constants.
 *   mismatched   prompts with the completions of other prompts, for KTO's estimate of the KL: those of the whole step,
 *                the same in each of its micro-batches
 */
export type BatchName = 'mismatched';

/** What is handed to an objective: one micro-batch, or the whole step if the objective is not separable. */
export interface ObjectiveInput extends Grid {
  /** Scores of what is trained. */
  readonly policy: Scores;
  /** Scores of the frozen anchor. */
  readonly reference?: Scores;
  /** Scores of the policy that sampled the rows. */
  readonly old?: Scores;
  readonly perRow?: Partial<RowTable>;
  readonly perToken?: Partial<TokenTable>;
  readonly batches?: { readonly [Name in BatchName]?: ScoredBatch };
  /** The step's counts; absent: this input is the whole step. */
  readonly totals?: Totals;
  /** What the last step's evaluation gave as `state`; absent: the objective's initial one. */
  readonly state?: ObjectiveState;
  /**
   * Where stopped gradients read the policy's scores. The same numbers as `policy`, and so it is by default; only a
   * difference check moves one and holds the other.
   */
  readonly stopped?: Scores;
}

/** What an objective reads. Scores of `policy` get cotangents; all else is constant. */
export interface Needs {
  readonly policy: readonly ScoreName[];
  readonly reference: readonly ScoreName[];
  readonly old?: readonly ScoreName[];
  readonly perRow?: readonly RowField[];
  readonly perToken?: readonly TokenField[];
  readonly batches?: readonly BatchName[];
}

/** Counts of one micro-batch. */
export function countTotals(kind: RowKind, input: Pick<ObjectiveInput, keyof Grid | 'perRow'>): Totals {
  const lengths = rowLengths(input);
  return {
    rows: input.rows,
    nonEmptyRows: lengths.filter((length) => length > 0).length,
    groups: countGroups(kind, input),
    scoredTokens: total(lengths),
    chosenTokens: total(lengths.map((length, row) => (isChosen(kind, input, row) ? length : 0))),
    chosenRows: total(lengths.map((_, row) => (isChosen(kind, input, row) ? 1 : 0))),
    externalRows: total(lengths.map((_, row) => (isExternal(input, row) ? 1 : 0))),
    externalTokens: total(lengths.map((length, row) => (isExternal(input, row) ? length : 0))),
  };
}

/** Counts of a step from those of its micro-batches. Groups must not be split over micro-batches. */
export function addTotals(parts: readonly Totals[]): Totals {
  const sum = (name: keyof Totals) => parts.reduce((so, part) => so + part[name], 0);
  return {
    rows: sum('rows'),
    nonEmptyRows: sum('nonEmptyRows'),
    groups: sum('groups'),
    scoredTokens: sum('scoredTokens'),
    chosenTokens: sum('chosenTokens'),
    chosenRows: sum('chosenRows'),
    externalRows: sum('externalRows'),
    externalTokens: sum('externalTokens'),
  };
}

function countGroups(kind: RowKind, { rows, perRow }: Pick<ObjectiveInput, 'rows' | 'perRow'>): number {
  if (kind === 'pairs') return rows / 2;
  if (kind === 'groups') return new Set(perRow?.groups).size;
  return rows;
}

function isChosen(kind: RowKind, { perRow }: Pick<ObjectiveInput, 'perRow'>, row: number): boolean {
  if (kind === 'pairs') return row % 2 === 0;
  if (kind === 'unpaired') return perRow?.labels?.[row] === 1;
  return true;
}

function isExternal({ perRow }: Pick<ObjectiveInput, 'perRow'>, row: number): boolean {
  return perRow?.external?.[row] === 1;
}

/** What an input is checked against. */
export interface Expectation {
  readonly name: string;
  readonly rows: RowKind;
  readonly needs: Needs;
  /** The initial state, of an objective that has one. */
  readonly state?: ObjectiveState;
}

/** Throws an `ObjectiveError` that names everything wrong with the input: shapes, absent scores, numbers not finite. */
export function checkInput(input: ObjectiveInput, expectation: Expectation): void {
  const shape = gridProblems(input, '');
  throwIfAny(named(shape, expectation));
  const { needs, rows: kind } = expectation;
  const perRow = new Set([
    ...(needs.perRow ?? []),
    ...(kind === 'unpaired' ? (['labels'] as const) : []),
    ...(kind === 'groups' ? (['groups'] as const) : []),
  ]);
  const problems = [
    ...scoreProblems(input, input.policy, 'policy', needs.policy),
    ...scoreProblems(input, input.reference, 'reference', needs.reference),
    ...scoreProblems(input, input.old, 'old', needs.old ?? []),
    ...scoreProblems(input, input.stopped, 'stopped', []),
    ...rowFieldProblems(input, [...perRow]),
    ...tokenFieldProblems(input, needs.perToken ?? []),
    ...batchProblems(input, needs),
    ...stateProblems(input, expectation),
  ];
  const rowProblems = kindProblems(kind, input);
  if (rowProblems.length === 0 && problems.length === 0) problems.push(...totalsProblems(kind, input));
  throwIfAny(named([...rowProblems, ...problems], expectation));
}

function named(problems: readonly Problem[], { name }: Expectation): Problem[] {
  return problems.map((problem) => ({ ...problem, where: { objective: name, ...problem.where } }));
}

function gridProblems({ rows, tokens, completionMask }: Grid, prefix: string): Problem[] {
  const problems: Problem[] = [];
  for (const [field, count] of Object.entries({ rows, tokens })) {
    if (Number.isInteger(count) && count >= 0) continue;
    const where = { field: `${prefix}${field}` };
    problems.push({ code: 'wrong-shape', where, expected: 'a whole number from 0', received: `${count}` });
  }
  const field = `${prefix}completionMask`;
  problems.push(...lengthProblem(completionMask, rows * tokens, field, `[rows, tokens] = [${rows}, ${tokens}]`));
  const bad = completionMask ? completionMask.findIndex((bit) => bit > 1) : -1;
  if (bad >= 0) {
    const where = { field, row: Math.floor(bad / tokens), token: bad % tokens };
    problems.push({ code: 'wrong-mask', where, expected: '0 or 1', received: `${completionMask[bad]}` });
  }
  return problems;
}

function lengthProblem(values: ArrayLike<number>, length: number, field: string, shape: string): Problem[] {
  if (values?.length === length) return [];
  const received = values === undefined ? 'nothing' : `${values.length} numbers`;
  return [{ code: 'wrong-shape', where: { field }, expected: `${length} numbers, ${shape}`, received }];
}

function scoreProblems(grid: Grid, scores: Scores | undefined, of: string, needed: readonly ScoreName[]): Problem[] {
  const names = [...new Set([...needed, ...scoresIn(scores)])];
  return names.flatMap((name) => {
    const field = `${of}.${name}`;
    const values = scores?.[name];
    if (values) return tokenProblems(grid, values, field, 'non-finite-score');
    const hint = `Ask the ${of.split('.').at(-1)} model for the score \`${name}\`.`;
    return [{ code: 'missing-score', where: { field }, expected: 'a score per token', received: 'nothing', hint }];
  });
}

function tokenProblems(grid: Grid, values: Float64Array, field: string, code: 'non-finite-score'): Problem[] {
  const { rows, tokens, completionMask } = grid;
  const shape = lengthProblem(values, rows * tokens, field, `[rows, tokens] = [${rows}, ${tokens}]`);
  if (shape.length > 0) return shape;
  const bad = values.findIndex((value, at) => completionMask[at] === 1 && !Number.isFinite(value));
  if (bad < 0) return [];
  const count = values.filter((value, at) => completionMask[at] === 1 && !Number.isFinite(value)).length;
  const where = { field, row: Math.floor(bad / tokens), token: bad % tokens };
  const hint = count > 1 ? `${count} such entries in all.` : 'Mask the token, or look for the overflow that made it.';
  return [{ code, where, expected: 'a finite number', received: `${values[bad]}`, hint }];
}

interface RowRule {
  readonly code: ProblemCode;
  readonly expected: string;
  readonly holds: (value: number) => boolean;
}

const bit: RowRule = { code: 'wrong-rows', expected: '0 or 1', holds: (value) => value <= 1 };

/** What a row's own numbers may be, where that is not anything. */
const rowRules: { readonly [Name in RowField]?: RowRule } = {
  labels: bit,
  external: bit,
  rewards: {
    code: 'non-finite-score',
    expected: 'a finite number, or NaN where a completion is not judged',
    holds: (value) => Math.abs(value) !== Number.POSITIVE_INFINITY,
  },
  margins: { code: 'non-finite-score', expected: 'a finite number', holds: Number.isFinite },
  densityRatios: { code: 'negative-weight', expected: 'a number from 0', holds: (value) => value >= 0 },
  targetLogScores: {
    code: 'non-finite-score',
    expected: 'a number below Infinity, or NaN where none is known',
    holds: (value) => value !== Number.POSITIVE_INFINITY,
  },
};

function rowFieldProblems(input: ObjectiveInput, needed: readonly RowField[]): Problem[] {
  const { rows, perRow } = input;
  return needed.flatMap((name) => {
    const field = `perRow.${name}`;
    const values = perRow?.[name];
    if (values) {
      const shape = lengthProblem(values, rows, field, `[rows] = [${rows}]`);
      return shape.length > 0 ? shape : rowValueProblems(input, values, name);
    }
    return [{ code: 'missing-field', where: { field }, expected: 'a number per row', received: 'nothing' }];
  });
}

/** A row without a completion token is masked: its number is passed over, unless it says what kind of row it is. */
function rowValueProblems(grid: Grid, values: ArrayLike<number>, name: RowField): Problem[] {
  const rule = rowRules[name];
  if (!rule) return [];
  const { code, expected, holds } = rule;
  const lengths = rule === bit ? undefined : rowLengths(grid);
  const row = Array.from(values).findIndex((value, row) => lengths?.[row] !== 0 && !holds(value));
  return row < 0 ? [] : [{ code, where: { field: `perRow.${name}`, row }, expected, received: `${values[row]}` }];
}

function tokenFieldProblems(input: ObjectiveInput, needed: readonly TokenField[]): Problem[] {
  return needed.flatMap((name) => {
    const field = `perToken.${name}`;
    const values = input.perToken?.[name];
    if (values)
      return [...tokenProblems(input, values, field, 'non-finite-score'), ...signProblems(input, values, name)];
    return [{ code: 'missing-field', where: { field }, expected: 'a number per token', received: 'nothing' }];
  });
}

/** Fields of tokens that may not be negative. */
const weights: readonly TokenField[] = ['rewardWeights', 'klWeights'];

function signProblems({ tokens, completionMask }: Grid, values: Float64Array, name: TokenField): Problem[] {
  const bad = weights.includes(name) ? values.findIndex((value, at) => completionMask[at] === 1 && value < 0) : -1;
  if (bad < 0) return [];
  const where = { field: `perToken.${name}`, row: Math.floor(bad / tokens), token: bad % tokens };
  return [{ code: 'negative-weight', where, expected: 'a number from 0', received: `${values[bad]}` }];
}

function batchProblems({ batches }: ObjectiveInput, needs: Needs): Problem[] {
  return (needs.batches ?? []).flatMap((name) => {
    const field = `batches.${name}`;
    const batch = batches?.[name];
    if (!batch) return [{ code: 'missing-field', where: { field }, expected: 'a batch', received: 'nothing' }];
    const shape = gridProblems(batch, `${field}.`);
    if (shape.length > 0) return shape;
    return [
      ...scoreProblems(batch, batch.policy, `${field}.policy`, ['logprobs']),
      ...scoreProblems(batch, batch.reference, `${field}.reference`, needs.reference),
    ];
  });
}

function stateProblems({ state }: ObjectiveInput, { state: initial }: Expectation): Problem[] {
  if (state === undefined) return [];
  return Object.keys(initial ?? {})
    .filter((name) => !Number.isFinite(state[name]))
    .map((name) => ({
      code: state[name] === undefined ? ('missing-field' as const) : ('non-finite-score' as const),
      where: { field: `state.${name}` },
      expected: 'a finite number',
      received: state[name] === undefined ? 'nothing' : `${state[name]}`,
    }));
}

function kindProblems(kind: RowKind, { rows, perRow }: ObjectiveInput): Problem[] {
  if (kind === 'pairs' && rows % 2 === 1) {
    const hint = 'Row 2i is chosen, row 2i + 1 rejected: one of them is missing.';
    return [{ code: 'wrong-rows', where: { field: 'rows' }, expected: 'an even number', received: `${rows}`, hint }];
  }
  const returning = kind === 'groups' ? firstReturn(perRow?.groups ?? new Int32Array()) : -1;
  if (returning >= 0) {
    const where = { field: 'perRow.groups', row: returning };
    const received = `group ${perRow?.groups?.[returning]} a second time`;
    return [{ code: 'wrong-rows', where, expected: 'the rows of a group to stand together', received }];
  }
  return [];
}

/** The first row whose group was left before, or -1. */
function firstReturn(groups: Int32Array): number {
  const seen = new Set<number>();
  return groups.findIndex((group, row) => {
    const returns = group !== groups[row - 1] && seen.has(group);
    seen.add(group);
    return returns;
  });
}

function totalsProblems(kind: RowKind, input: ObjectiveInput): Problem[] {
  const { totals } = input;
  if (!totals) return [];
  const own = countTotals(kind, input);
  const names = Object.keys(own) as (keyof Totals)[];
  return names
    .filter((name) => !(totals[name] >= own[name] && Number.isFinite(totals[name])))
    .map((name) => ({
      code: 'wrong-totals' as const,
      where: { field: `totals.${name}` },
      expected: `at least the ${own[name]} of this micro-batch`,
      received: `${totals[name]}`,
      hint: 'Totals are the counts of the whole step: `addTotals` of the `countTotals` of its micro-batches.',
    }));
}
