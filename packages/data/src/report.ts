import { createHash } from 'node:crypto';
import { pathsOf, type TokenTree } from '@kelpie/policy';
import { treeTokens } from './batches.js';
import type { Problem, Reason } from './error.js';

/** What a load did with the rows: nothing is dropped, cut or merged without a number here. */
export interface DataReport {
  readonly files: readonly { readonly file: string; readonly format: string; readonly rows: number }[];
  /** Rows read, and rows that became examples. */
  readonly rows: number;
  readonly kept: number;
  /** Rows left out, by the first thing that was wrong with each. */
  readonly dropped: Readonly<Partial<Record<Reason, number>>>;
  /** What was wrong with them, in full. */
  readonly problems: readonly Problem[];
  readonly truncated: { readonly rows: number; readonly tokens: number };
  /** Rows in which the prompt's last tokens merged with the completion's first, and how many prompt tokens that took. */
  readonly merged: { readonly rows: number; readonly tokens: number };
  /** Ids that end a completion; empty if neither the tokenizer nor the model's config names any. */
  readonly endTokens: readonly number[];
  /** Rows with a side that had no end token before truncation: all of them where there is none to have. */
  readonly withoutEnd: number;
  /** Rows with text that the vocabulary lacks, and how many unknown tokens stand for it. */
  readonly unknown: { readonly rows: number; readonly tokens: number };
  readonly tokens: TokenCounts;
  /** sha256 over every example's ids and scored places, in order; equal hashes mean equal batches. */
  readonly hash: string;
}

export interface TokenCounts {
  /** Over whole sequences, a pair's prompt twice. */
  readonly total: number;
  readonly scored: number;
  /** Share of `total` that is not scored. */
  readonly promptShare: number;
  /** As trees, what a pair shares counted once. */
  readonly inTrees: number;
  readonly longest: number;
  readonly mean: number;
}

export function countTokens(trees: readonly TokenTree[]): TokenCounts {
  const paths = trees.flatMap(pathsOf);
  const total = paths.reduce((sum, { ids }) => sum + ids.length, 0);
  const scored = paths.reduce((sum, { ids, scoreFrom }) => sum + ids.length - scoreFrom, 0);
  return {
    total,
    scored,
    promptShare: total === 0 ? 0 : (total - scored) / total,
    inTrees: trees.reduce((sum, tree) => sum + treeTokens(tree), 0),
    longest: paths.reduce((longest, { ids }) => Math.max(longest, ids.length), 0),
    mean: paths.length === 0 ? 0 : total / paths.length,
  };
}

/** Each list of ids goes in behind its length, so that no two sets of trees read the same. */
export function hashTrees(trees: readonly TokenTree[]): string {
  const hash = createHash('sha256');
  for (const { trunk, branches } of trees) {
    const numbers = [trunk.length, ...trunk, branches.length];
    for (const { ids, scoreFrom } of branches) numbers.push(scoreFrom, ids.length, ...ids);
    const bytes = Buffer.alloc(numbers.length * 4);
    numbers.forEach((number, i) => {
      bytes.writeUInt32LE(number, i * 4);
    });
    hash.update(bytes);
  }
  return hash.digest('hex');
}

const many = (count: number, noun: string) => `${count} ${noun}${count === 1 ? '' : 's'}`;

/** A report in a few lines, for a console. */
export function reportText(report: DataReport): string {
  const { files, rows, kept, dropped, truncated, merged, endTokens, withoutEnd, unknown, tokens } = report;
  const reasons = Object.entries(dropped).map(([reason, count]) => `${count} ${reason}`);
  const lines = [
    ...files.map(({ file, format, rows }) => `${file}: ${many(rows, 'row')}, ${format}`),
    `${kept} of ${many(rows, 'row')} used${reasons.length === 0 ? '' : `; dropped: ${reasons.join(', ')}`}`,
    `${tokens.total} tokens, ${tokens.scored} of them scored (prompts: ${Math.round(tokens.promptShare * 100)} %); with shared prompts computed once: ${tokens.inTrees}`,
    `sequences: longest ${tokens.longest}, mean ${tokens.mean.toFixed(1)} tokens`,
  ];
  if (truncated.rows > 0) lines.push(`${many(truncated.rows, 'row')} truncated, by ${many(truncated.tokens, 'token')}`);
  if (merged.rows > 0)
    lines.push(
      `prompt and completion merge in ${many(merged.rows, 'row')}: ${many(merged.tokens, 'prompt token')} scored with the completion`,
    );
  if (endTokens.length === 0)
    lines.push(
      'no end token, so nothing teaches the model to stop: name it as `eos_token` in `tokenizer_config.json`, or as `eos_token_id` in `config.json`',
    );
  else if (withoutEnd > 0)
    lines.push(`${many(withoutEnd, 'row')} without an end token: nothing there teaches the model to stop`);
  if (unknown.rows > 0)
    lines.push(`${many(unknown.rows, 'row')} with text the vocabulary lacks: ${many(unknown.tokens, 'unknown token')}`);
  return lines.join('\n');
}
