import { type Sequence, type TokenTree, treeOf } from '@kelpie/policy';
import { badOption, badRows, DataError, type Problem, problemLines, type Reason, type Where } from './error.js';
import { fileRows } from './file-rows.js';
import type { RawRow } from './read.js';
import { countTokens, type DataReport, hashTrees } from './report.js';
import type { Format, JsonObject, Row, RowKind } from './row.js';
import { type Rendered, render } from './template.js';
import { type Encoder, encoderOf, requireVocabulary, type ScoreFrom, type Tokenized, tokenize } from './tokenize.js';
import type { TextTokenizer } from './tokenizer.js';
import { type Truncation, truncate, truncations } from './truncate.js';

export interface LoadOptions {
  /** `.jsonl`, `.ndjson` or `.json`, each also with `.gz`; rows come in this order. */
  readonly files: readonly string[];
  readonly tokenizer: TextTokenizer;
  /** Tokens a sequence may have: the model's context, or less. */
  readonly maxLength: number;
  /** Entries of the model's embedding. Default: those of the tokenizer. */
  readonly vocabularySize?: number;
  /** The name of a format. Default: the one that fits the first rows of each file. */
  readonly format?: string;
  /** Columns under other names, `{ prompt: 'question' }`: renamed before the format is looked for. */
  readonly columns?: Readonly<Record<string, string>>;
  /** `error` (default) lists all bad rows and throws; `drop` leaves them out and counts them. */
  readonly onBadRow?: 'error' | 'drop';
  readonly signal?: AbortSignal;
}

export interface ExampleFacts {
  readonly id: string;
  readonly where: Where;
  /** Columns the format did not use. */
  readonly extra: JsonObject;
  /** The prompt as the tokenizer saw it, before any truncation. Empty where rows have none. */
  readonly prompt: string;
  readonly tree: TokenTree;
  /** Tokens before any truncation: of the prompt, and of each completion behind it. */
  readonly lengths: { readonly prompt: number; readonly completions: readonly number[] };
  /** Prompt tokens that merged with the completion, and tokens that truncation cut off. */
  readonly mergedTokens: number;
  readonly cutTokens: number;
}

export interface Dataset<Example> {
  readonly examples: Example[];
  readonly report: DataReport;
}

/** A row ready for training, before it is known as a pair or as text. */
export interface Ready {
  readonly row: Row;
  readonly rendered: Rendered;
  readonly tokenized: Tokenized;
  /** As they were before truncation. */
  readonly sequences: readonly Sequence[];
  readonly tree: TokenTree;
  readonly cutTokens: number;
}

export interface Recipe {
  readonly options: LoadOptions;
  readonly kinds: readonly RowKind[];
  readonly truncation: Truncation;
  /** Whether that was asked for. If not, a prompt that leaves no room for a completion is a bad row: cut, it is another. */
  readonly truncationAsked: boolean;
  readonly scoreFrom: ScoreFrom;
  /** Makes of a parsed row the one to be rendered. */
  readonly shape: (row: Row) => { readonly row: Row } | { readonly problem: Problem };
  /** Scores every token but the first, whatever the row's prompt. */
  readonly scoreAll: (row: Row) => boolean;
}

/** Rows that can't be used: those to complain about, and those that truncation leaves out as asked. */
class Rejects {
  readonly problems: Problem[] = [];
  readonly bad: Problem[] = [];
  readonly counts = new Map<Reason, number>();

  add(problems: readonly Problem[], bad: boolean): void {
    const [first] = problems;
    if (first === undefined) return;
    this.problems.push(...problems);
    if (bad) this.bad.push(...problems);
    this.counts.set(first.code, (this.counts.get(first.code) ?? 0) + 1);
  }
}

function requireOptions({ options: { files, maxLength, onBadRow = 'error' }, truncation }: Recipe): void {
  if (files.length === 0) throw badOption('files', 'a list of at least one file', files);
  if (!(Number.isInteger(maxLength) && maxLength >= 2))
    throw badOption('maxLength', 'a whole number from 2', maxLength);
  if (!truncations.includes(truncation)) throw badOption('truncation', truncations.join(', '), truncation);
  if (!['error', 'drop'].includes(onBadRow)) throw badOption('onBadRow', 'error or drop', onBadRow);
}

function sameIds([a, b]: readonly Sequence[]): boolean {
  return a !== undefined && b !== undefined && a.ids.length === b.ids.length && a.ids.every((id, i) => id === b.ids[i]);
}

function parse(
  raw: RawRow,
  format: Format | undefined,
  recipe: Recipe,
): { row: Row } | { problems: readonly Problem[] } {
  if ('problem' in raw) return { problems: [raw.problem] };
  const parsed = (format as Format).parse(raw.value, raw.where);
  if ('problems' in parsed) return parsed;
  const shaped = recipe.shape(parsed.row);
  return 'row' in shaped ? shaped : { problems: [shaped.problem] };
}

/** Tokenizers without an unknown token throw at text that the vocabulary lacks: the row is at fault, not the load. */
function attempt<T extends object>(run: () => T): T | { readonly refusal: string } {
  try {
    return run();
  } catch (error) {
    return { refusal: (error as Error).message };
  }
}

/** Tokens of the trees, once each, that stand for text the vocabulary lacks. */
function unknownTokens({ trunk, branches }: TokenTree, unknown: number | undefined): number {
  return [trunk, ...branches.map(({ ids }) => ids)].flat().filter((id) => id === unknown).length;
}

/** Chat templates write their own ending; without an end token nothing teaches the model to stop. */
function lacksEnd({ tokenized: { sequences } }: Ready, ends: readonly number[]): boolean {
  return sequences.some(({ ids, scoreFrom }) => !ids.some((id, i) => i >= scoreFrom && ends.includes(id)));
}

function ready(row: Row, recipe: Recipe, encoder: Encoder, rejects: Rejects): Ready | undefined {
  const { tokenizer, maxLength, vocabularySize = tokenizer.vocabularySize } = recipe.options;
  const { id, where } = row;
  const reject = (code: Reason, expected: string, received: string, bad: boolean) => {
    rejects.add([{ code, where, expected, received }], bad);
    return undefined;
  };
  const rendered = render(row, tokenizer);
  if ('problem' in rendered) {
    rejects.add([rendered.problem], true);
    return undefined;
  }
  const { scoreFrom } = recipe;
  const tokenized = attempt(() => tokenize(rendered, encoder, { scoreFrom }));
  if ('refusal' in tokenized)
    return reject('not-encodable', 'text the tokenizer can encode', `its error: ${tokenized.refusal}`, true);
  const all = recipe.scoreAll(row);
  const sequences = all ? tokenized.sequences.map(({ ids }) => ({ ids, scoreFrom: 1 })) : tokenized.sequences;
  requireVocabulary(sequences, { size: vocabularySize, tokenizer, where });
  if (sequences.some(({ ids, scoreFrom }) => ids.length <= scoreFrom))
    return reject('empty-completion', 'a completion that makes at least one token', 'none', true);
  if (sameIds(sequences)) return reject('same-tokens', 'two completions that differ in tokens', 'the same ids', true);
  const promptTokens = Math.min(...sequences.map(({ scoreFrom }) => scoreFrom));
  if (!recipe.truncationAsked && promptTokens >= maxLength) {
    const expected = `a prompt of fewer than ${maxLength} tokens, or a choice of \`truncation\``;
    return reject('prompt-fills-length', expected, `${promptTokens}`, true);
  }
  const cut = truncate(sequences, { maxLength, rule: recipe.truncation, bosTokenId: tokenizer.bosTokenId });
  if ('reason' in cut) return reject(cut.reason, cut.expected, cut.received, recipe.truncation === 'error');
  if (sameIds(cut.sequences))
    return reject('same-after-truncation', `completions that differ within ${maxLength} tokens`, `row ${id}`, false);
  return { row, rendered, tokenized, sequences, tree: treeOf(cut.sequences), cutTokens: cut.cutTokens };
}

function requireRows(kept: number, rows: number, rejects: Rejects, files: readonly string[]): void {
  if (kept > 0) return;
  const reasons = [...rejects.counts].map(([reason, count]) => `${count} ${reason}`).join(', ');
  const first = files[0];
  const why = rejects.problems.length === 0 ? '.' : `, and dropped as ${reasons}:\n${problemLines(rejects.problems)}`;
  throw new DataError(`No row can be used: ${rows} were read${why}`, {
    code: 'no-rows',
    expected: 'at least one row',
    received: `${rows} rows, none of use`,
    remedy: rows === 0 ? `Check that ${files.join(', ')} are the files you mean.` : 'Mend these rows.',
    problems: rejects.problems,
    ...(first === undefined ? {} : { where: { file: first, line: 1 } }),
  });
}

/** All rows of the files that can be used, made ready as the recipe says. */
export async function load(recipe: Recipe): Promise<Dataset<Ready>> {
  requireOptions(recipe);
  const { files, tokenizer, onBadRow = 'error', signal } = recipe.options;
  const encoder = encoderOf(tokenizer);
  const rejects = new Rejects();
  const examples: Ready[] = [];
  const sources: { file: string; format: string; rows: number }[] = [];
  for (const file of files) {
    const { rows, format } = await fileRows(file, recipe.kinds, recipe.options);
    sources.push({ file, format: format?.name ?? 'none', rows: rows.length });
    for (const raw of rows) {
      signal?.throwIfAborted();
      const parsed = parse(raw, format, recipe);
      if ('problems' in parsed) rejects.add(parsed.problems, true);
      const example = 'row' in parsed ? ready(parsed.row, recipe, encoder, rejects) : undefined;
      if (example !== undefined) examples.push(example);
    }
  }
  const rows = sources.reduce((sum, source) => sum + source.rows, 0);
  if (onBadRow === 'error' && rejects.bad.length > 0) throw badRows(rejects.bad, rows);
  requireRows(examples.length, rows, rejects, files);
  const trees = examples.map(({ tree }) => tree);
  const cut = examples.filter(({ cutTokens }) => cutTokens > 0);
  const merged = examples.filter(({ tokenized }) => tokenized.mergedTokens > 0);
  const unknown = trees.map((tree) => unknownTokens(tree, tokenizer.unkTokenId));
  const ends = tokenizer.eosTokens ?? (tokenizer.eosTokenId === undefined ? [] : [tokenizer.eosTokenId]);
  const report: DataReport = {
    files: sources,
    rows,
    kept: examples.length,
    dropped: Object.fromEntries(rejects.counts),
    problems: rejects.problems,
    truncated: { rows: cut.length, tokens: cut.reduce((sum, { cutTokens }) => sum + cutTokens, 0) },
    merged: { rows: merged.length, tokens: merged.reduce((sum, { tokenized }) => sum + tokenized.mergedTokens, 0) },
    endTokens: ends,
    withoutEnd: examples.filter((example) => lacksEnd(example, ends)).length,
    unknown: {
      rows: unknown.filter((count) => count > 0).length,
      tokens: unknown.reduce((sum, count) => sum + count, 0),
    },
    tokens: countTokens(trees),
    hash: hashTrees(trees),
  };
  return { examples, report };
}

export function facts({ row, rendered, tokenized, sequences, tree, cutTokens }: Ready): ExampleFacts {
  const { id, where, extra } = row;
  const lengths = {
    prompt: Math.min(...sequences.map(({ scoreFrom }) => scoreFrom)),
    completions: sequences.map(({ ids, scoreFrom }) => ids.length - scoreFrom),
  };
  return { id, where, extra, prompt: rendered.prompt, tree, lengths, mergedTokens: tokenized.mergedTokens, cutTokens };
}
