import type { TokenTree } from '@kelpie/policy';
import type { Problem } from './error.js';
import { type Dataset, type ExampleFacts, facts, type LoadOptions, load } from './load.js';
import { mismatched } from './mismatched.js';
import type { CompletionRow, PairRow, Row } from './row.js';
import { encoderOf, type ScoreFrom } from './tokenize.js';
import type { Truncation } from './truncate.js';

export type { Dataset, LoadOptions } from './load.js';

export interface LoadPreferencesOptions extends LoadOptions {
  /** Default `prompt-start`, and rows whose prompt alone fills the length are bad rows. */
  readonly truncation?: Truncation;
  /** Default `shared`. */
  readonly scoreFrom?: ScoreFrom;
}

export interface LoadTextOptions extends LoadOptions {
  /** Default `end`, and rows whose prompt alone fills the length are bad rows. */
  readonly truncation?: Truncation;
  /**
   * What counts: `completion`, or every token but the first. Default: `completion` for rows with a prompt, `all` for
   * text and conversations; asked for `completion`, of a conversation the assistant's last turn counts.
   */
  readonly score?: 'completion' | 'all';
  /** Reads preference rows and takes one side of each as the completion. */
  readonly side?: 'chosen' | 'rejected';
}

export interface LoadUnpairedOptions extends LoadPreferencesOptions {
  /** Also gives each row's prompt completions of other prompts: `mismatched`. Default false. */
  readonly mismatched?: boolean;
}

/** A pair as a tree with two branches: chosen, then rejected. */
export interface PreferenceExample extends ExampleFacts {
  readonly chosen: string;
  readonly rejected: string;
}

/** Text as a tree with one branch. */
export interface TextExample extends ExampleFacts {
  readonly completion: string;
}

/** A completion with its label as a tree with one branch, or both sides of a pair as a tree with two. */
export interface UnpairedExample extends ExampleFacts {
  /** [branches] */
  readonly completions: readonly string[];
  /** The first of them. */
  readonly completion: string;
  /** [branches]: 1 desirable, 0 undesirable; of a pair, chosen and rejected. */
  readonly labels: readonly number[];
  /** The same prompt with the completions of a row that has another one, as many as the tree has. */
  readonly mismatched?: TokenTree;
}

/** Preference rows of any pair format, as trees with a chosen and a rejected branch. */
export async function loadPreferences(options: LoadPreferencesOptions): Promise<Dataset<PreferenceExample>> {
  const { truncation = 'prompt-start', scoreFrom = 'shared' } = options;
  const { examples, report } = await load({
    options,
    truncation,
    truncationAsked: options.truncation !== undefined,
    scoreFrom,
    kinds: ['pair'],
    shape: (row) => ({ row }),
    scoreAll: () => false,
  });
  return {
    report,
    examples: examples.map((example) => {
      const [chosen = '', rejected = ''] = example.rendered.completions;
      return { ...facts(example), chosen, rejected };
    }),
  };
}

/** The assistant's last turn as the completion of what was said before. */
function lastTurn(row: Row): { row: Row } | { problem: Problem } {
  if (row.kind !== 'text' || typeof row.text === 'string') return { row };
  const { id, where, extra, text } = row;
  const last = text.at(-1);
  if (last?.role === 'assistant' && text.length > 1)
    return { row: { kind: 'completion', id, where, extra, prompt: text.slice(0, -1), completion: [last] } };
  const expected = 'a conversation that ends with a turn of `assistant` behind another';
  return {
    problem: { code: 'wrong-type', where, field: 'messages', expected, received: `\`${last?.role}\` at the end` },
  };
}

function oneSide({ id, where, extra, prompt, ...sides }: PairRow, side: 'chosen' | 'rejected'): CompletionRow {
  return { kind: 'completion', id, where, extra, prompt, completion: sides[side] };
}

/** Supervised rows: text, conversations, or prompts with one completion, as trees with one branch. */
export async function loadText(options: LoadTextOptions): Promise<Dataset<TextExample>> {
  const { truncation = 'end', score, side } = options;
  const { examples, report } = await load({
    options,
    truncation,
    truncationAsked: options.truncation !== undefined,
    scoreFrom: 'per-side',
    kinds: side === undefined ? ['completion', 'text'] : ['pair'],
    shape: (row) => {
      if (row.kind === 'pair' && side !== undefined) return { row: oneSide(row, side) };
      return score === 'completion' ? lastTurn(row) : { row };
    },
    scoreAll: (row) => score === 'all' || row.kind === 'text',
  });
  return {
    report,
    examples: examples.map((example) => ({ ...facts(example), completion: example.rendered.completions[0] ?? '' })),
  };
}

/**
 * Rows of which each completion is wanted or not: labelled ones, or pairs, whose two sides share their prompt in one
 * example.
 */
export async function loadUnpaired(options: LoadUnpairedOptions): Promise<Dataset<UnpairedExample>> {
  const { truncation = 'prompt-start', scoreFrom = 'shared', tokenizer, maxLength } = options;
  const { examples, report } = await load({
    options,
    truncation,
    truncationAsked: options.truncation !== undefined,
    scoreFrom,
    kinds: ['labelled', 'pair'],
    shape: (row) => ({ row }),
    scoreAll: () => false,
  });
  const rendered = examples.map((example) => example.rendered);
  const encoder = encoderOf(tokenizer);
  const rule = { encoder, maxLength, rule: truncation, bosTokenId: tokenizer.bosTokenId };
  const others = options.mismatched === true ? mismatched(rendered, rule) : undefined;
  return {
    report,
    examples: examples.map((example, i) => {
      const { completions } = example.rendered;
      const other = others?.[i];
      return {
        ...facts(example),
        completions,
        completion: completions[0] ?? '',
        labels: labelsOf(example.row),
        ...(other && { mismatched: other }),
      };
    }),
  };
}

function labelsOf(row: Row): number[] {
  return row.kind === 'labelled' ? [row.desirable ? 1 : 0] : [1, 0];
}
