import { treeTokens } from '@kelpie/data';
import { countTotals, rowSums, total } from '@kelpie/objectives';
import { KelpieError, pathsOf, type TokenTree, treeOf } from '@kelpie/policy';
import { judgesSequences } from './judged.js';
import { gridOf, type Part, partOf, type Rows, scoresOf } from './rows.js';
import { batchesOf, evaluatePart, scoresNeeded, type Task } from './step.js';

export interface SelfCheckOptions extends Task {
  readonly rows: Rows;
  /** Relative to the magnitude of what is compared. Default 1e-4, for float32. */
  readonly tolerance?: number;
  /** Examples that are looked at. Default 4. */
  readonly count?: number;
}

/** One thing that must hold before the first update. */
export interface CheckPart {
  readonly name:
    | ('objective' | 'reference' | 'divergence' | 'batch mates' | 'padding' | 'tree mates')
    | ('ratio' | 'values' | 'kl' | 'clip fraction' | 'reward place');
  /** What was found, and what it may be at most. */
  readonly error: number;
  readonly bound: number;
  /** The example where the error is largest. */
  readonly row?: string;
  readonly got: number;
  readonly expected: number;
}

export interface SelfCheck {
  readonly passed: boolean;
  readonly parts: readonly CheckPart[];
  /** One line. */
  readonly text: string;
}

/**
 * What must hold before the first update, measured on a few rows: the objective's known value where policy and
 * reference are one, their divergence 0, and a row's log-probability the same alone, among others, padded, and without
 * the rows that share its prompt.
 */
export async function selfCheck(options: SelfCheckOptions): Promise<SelfCheck> {
  const { objective, rows, tolerance = 1e-4, count = 4 } = options;
  const part = partOf(objective.rows, rows, choose(rows, count));
  const judges = judgesSequences(objective.needsOf(options.objectiveOptions));
  const together = await logprobsOf(options, part.trees);
  // A reference of other weights has nothing that is known.
  const one = options.policy.info.hash === options.policy.info.referenceHash;
  const parts = [
    ...(one ? await objectiveParts(options, part, tolerance) : []),
    ...(judges || !one ? [] : [await divergencePart(options, part, tolerance)]),
    worst('batch mates', part, together, await alone(options, part.trees), tolerance),
    worst('padding', part, together, await padded(options, part.trees), tolerance),
    worst('tree mates', part, together, await logprobsOf(options, part.trees.flatMap(splitTree)), tolerance),
  ];
  const passed = parts.every(holds);
  return { passed, parts, text: textOf(parts, part.examples.length, passed) };
}

/** The error for a check that failed: which part, and its numbers. */
export function selfCheckError({ parts, text }: SelfCheck): KelpieError {
  const { name, row, got, expected, error, bound } = parts.find((part) => !holds(part))!;
  const where = { part: name, ...(row === undefined ? {} : { row }), got, expected, error, bound, step: 0 };
  return new KelpieError(`${text}\nNothing was updated: these numbers would not train what was meant.`, {
    code: 'self-check',
    where,
  });
}

function holds({ error, bound }: CheckPart): boolean {
  return error <= bound;
}

/** Evenly by length, up to the middle: no batch of them outgrows what training takes at once. */
function choose({ examples }: Rows, count: number): number[] {
  const order = examples
    .map(({ tree }, index) => ({ index, length: treeTokens(tree) }))
    .sort((a, b) => a.length - b.length || a.index - b.index);
  const last = Math.max(Math.ceil(order.length / 2), Math.min(count, order.length)) - 1;
  const places = Array.from({ length: count }, (_, i) => Math.round((i * last) / Math.max(1, count - 1)));
  return [...new Set(places)].map((place) => order[place]!.index);
}

async function objectiveParts(options: SelfCheckOptions, part: Part, tolerance: number): Promise<CheckPart[]> {
  const { policy, objective, objectiveOptions, temperature = 1 } = options;
  const scores = scoresOf(await policy.score({ trees: part.trees, scores: scoresNeeded(options), temperature }));
  const found: CheckPart[] = [];
  const { logprobs } = part.reference;
  if (logprobs !== undefined && scores.logprobs !== undefined) {
    found.push(worst('reference', part, rowSums(part, scores.logprobs), rowSums(part, logprobs), tolerance));
  }
  const expected = objective.atReference?.(objective.resolveOptions(objectiveOptions));
  if (expected === undefined) return found;
  const given = { totals: countTotals(objective.rows, part), batches: await batchesOf(options, [part], 0) };
  const { loss: got, cotangents } = evaluatePart(options, part, scores, given, 0);
  // To first order, what log-probs that are off by the tolerance make of the loss.
  const slope =
    cotangents.logprobs?.map((value, at) => Math.abs(value * (scores.logprobs?.[at] ?? 0))) ?? new Float64Array();
  const bound = tolerance * (Math.max(1, Math.abs(expected)) + total(slope));
  return [{ name: 'objective', got, expected, error: Math.abs(got - expected), bound }, ...found];
}

/** KL(policy ‖ reference) at every token. */
async function divergencePart(options: SelfCheckOptions, part: Part, bound: number): Promise<CheckPart> {
  const { policy, temperature = 1 } = options;
  const { reverseKl } = await policy.score({ trees: part.trees, scores: ['reverseKl'], temperature });
  const at = worstOf(Array.from(reverseKl!, Math.abs));
  const got = reverseKl![at] ?? 0;
  return {
    name: 'divergence',
    got,
    expected: 0,
    error: Math.abs(got),
    bound,
    row: rowId(part, Math.floor(at / Math.max(1, part.tokens))),
  };
}

/** [rows]: log-probability of each completion, or its value if it is judged. */
async function logprobsOf(
  { policy, objective, objectiveOptions, temperature = 1 }: Task,
  trees: readonly TokenTree[],
): Promise<Float64Array> {
  const score = judgesSequences(objective.needsOf(objectiveOptions)) ? 'values' : 'logprobs';
  const scores = await policy.score({ trees, scores: [score], temperature });
  return rowSums(gridOf(trees), scores[score]!);
}

async function alone(task: Task, trees: readonly TokenTree[]): Promise<Float64Array> {
  const rows: number[] = [];
  for (const tree of trees) rows.push(...(await logprobsOf(task, [tree])));
  return Float64Array.from(rows);
}

/** Each tree beside one twice as long as itself, so that half of its own row is padding. */
async function padded(task: Task, trees: readonly TokenTree[]): Promise<Float64Array> {
  const rows: number[] = [];
  for (const tree of trees) {
    const mate = longMate(tree, 2 * treeTokens(tree), task.policy.info.contextLength);
    rows.push(...(await logprobsOf(task, [tree, mate])).slice(0, tree.branches.length));
  }
  return Float64Array.from(rows);
}

/** A tree of `size` tokens or a few more, in branches that the context holds, of which none is scored. */
function longMate(tree: TokenTree, size: number, contextLength: number): TokenTree {
  const source = pathsOf(tree)[0]!.ids;
  const count = Math.ceil(size / Math.min(size, contextLength));
  const length = Math.ceil(size / count);
  const ids = Array.from({ length }, (_, i) => source[i % source.length]!);
  return { trunk: [], branches: Array.from({ length: count }, () => ({ ids, scoreFrom: length })) };
}

function splitTree(tree: TokenTree): TokenTree[] {
  return pathsOf(tree).map((path) => treeOf([path]));
}

/** The row in which two ways to the same number are farthest apart, relative to its magnitude. */
function worst(
  name: CheckPart['name'],
  part: Part,
  expected: Float64Array,
  got: Float64Array,
  tolerance: number,
): CheckPart {
  const scale = (row: number) => Math.max(1, Math.abs(expected[row]!));
  const errors = Array.from(expected, (value, row) => Math.abs(got[row]! - value) / scale(row));
  const row = worstOf(errors);
  return {
    name,
    got: got[row]!,
    expected: expected[row]!,
    error: errors[row]!,
    bound: tolerance,
    row: rowId(part, row),
  };
}

/** Index of the largest error; a number that is none is larger than any. */
function worstOf(errors: readonly number[]): number {
  const size = (error: number) => (Number.isNaN(error) ? Number.POSITIVE_INFINITY : error);
  return errors.reduce((at, error, i) => (size(error) > size(errors[at]!) ? i : at), 0);
}

function rowId(part: Part, row: number): string {
  let first = 0;
  for (const { id, tree } of part.examples) {
    if (row < first + tree.branches.length) return id;
    first += tree.branches.length;
  }
  return String(row);
}

function textOf(parts: readonly CheckPart[], count: number, passed: boolean): string {
  const facts = parts.map((part) => {
    const { name, got, expected, error, bound } = part;
    const sign = holds(part) ? '' : `FAILED, at most ${bound.toExponential(1)} allowed: `;
    if (name === 'objective') return `loss at the reference ${sign}${got.toFixed(6)} (${expected.toFixed(6)} expected)`;
    if (name === 'divergence') return `KL ${sign}${error.toExponential(1)}`;
    return `${name} ${sign}${error.toExponential(1)}`;
  });
  return `self-check ${passed ? 'passed' : 'failed'} on ${count} rows: ${facts.join(', ')}`;
}
