import { Option } from '@commander-js/extra-typings';
import {
  DataError,
  type Dataset,
  formats,
  type LoadOptions,
  loadPreferences,
  loadText,
  loadUnpaired,
  type PreferenceExample,
  placeText,
  type TextExample,
  type Truncation,
  truncations,
  type UnpairedExample,
} from '@kelpie/data';
import type { Needs } from '@kelpie/objectives';
import type { Tokenizer } from '@kelpie/policy';
import { UsageError } from './exit.js';
import { countFlag, unset } from './flags.js';

/** How rows are read, as flags say it. */
export interface RowFlags {
  readonly format?: string | undefined;
  /** `prompt=question`, or as a config has them. */
  readonly columns?: readonly string[] | Readonly<Record<string, string>> | undefined;
  readonly onBadRow?: string | undefined;
  readonly truncation?: string | undefined;
  readonly maxLength?: number | undefined;
  readonly scoreFrom?: string | undefined;
  readonly score?: string | undefined;
  readonly side?: string | undefined;
}

const dataGroup = 'Data:';

export function rowFlags({ pairs, text }: { readonly pairs: boolean; readonly text: boolean }): Option[] {
  const names = [...formats.keys()].sort();
  const rules = [...(pairs ? ['prompt-start for pairs'] : []), ...(text ? ['end for text'] : [])].join(', ');
  const flags: Option[] = [
    unset(new Option('--format <name>', 'how the rows are laid out').choices(names), 'found by their columns'),
    new Option('--columns <name=column...>', 'columns under other names: prompt=question'),
    new Option('--on-bad-row <error|drop>', 'lists all bad rows and stops, or leaves them out and counts them')
      .choices(['error', 'drop'])
      .default('error'),
    unset(
      new Option('--truncation <rule>', 'of rows that are too long').choices(truncations),
      `${rules}; a prompt that leaves no room is a bad row`,
    ),
    unset(countFlag('--max-length <n>', 'tokens of a row at most', 2), "the model's context"),
  ];
  const from = new Option('--score-from <name>', 'where the sides of a pair begin to count');
  if (pairs) flags.push(from.choices(['shared', 'per-side']).default('shared'));
  if (!text) return flags.map((option) => option.helpGroup(dataGroup));
  const score = new Option('--score <name>', 'which tokens count').choices(['completion', 'all']);
  const side = new Option('--side <name>', 'which side of preference rows is read as text');
  flags.push(unset(score, 'completions; all of a text without a prompt'));
  flags.push(side.choices(['chosen', 'rejected']).default('chosen'));
  return flags.map((option) => option.helpGroup(dataGroup));
}

export interface RowSource {
  readonly files: readonly string[];
  readonly tokenizer: Tokenizer;
  readonly contextLength: number;
  readonly vocabularySize: number;
  /** What the limit of tokens is called in a complaint. Default: its flag. */
  readonly maxLengthCalled?: string;
}

function loadOptions(
  flags: RowFlags,
  { files, tokenizer, contextLength, vocabularySize, maxLengthCalled = '--max-length' }: RowSource,
): LoadOptions & { truncation?: Truncation } {
  const maxLength = flags.maxLength ?? contextLength;
  if (maxLength > contextLength) {
    throw new UsageError(
      `${maxLengthCalled}: ${maxLength} is more than the model's context of ${contextLength} tokens`,
    );
  }
  return {
    files,
    tokenizer,
    maxLength,
    vocabularySize,
    ...(flags.format !== undefined && { format: flags.format }),
    ...(flags.columns !== undefined && { columns: columnsOf(flags.columns) }),
    ...(flags.onBadRow !== undefined && { onBadRow: flags.onBadRow as 'error' | 'drop' }),
    ...(flags.truncation !== undefined && { truncation: flags.truncation as Truncation }),
  };
}

const isList = (columns: NonNullable<RowFlags['columns']>): columns is readonly string[] => Array.isArray(columns);

export function columnsOf(columns: NonNullable<RowFlags['columns']>): Record<string, string> {
  if (!isList(columns)) return { ...columns };
  return Object.fromEntries(
    columns.map((pair) => {
      const at = pair.indexOf('=');
      if (at < 1 || at === pair.length - 1)
        throw new UsageError(`--columns: expected \`name=column\`, for instance \`prompt=question\`, got \`${pair}\``);
      return [pair.slice(0, at), pair.slice(at + 1)];
    }),
  );
}

export function loadPairs(flags: RowFlags, source: RowSource): Promise<Dataset<PreferenceExample>> {
  const { scoreFrom } = flags;
  return loadPreferences({
    ...loadOptions(flags, source),
    ...(scoreFrom !== undefined && { scoreFrom: scoreFrom as 'shared' | 'per-side' }),
  });
}

/** Completions with a label, or pairs; with what the objective asks for beside them. */
export function loadLabelled({ batches, perRow }: Needs) {
  const mismatched = batches?.includes('mismatched') === true;
  const weighed = perRow?.includes('densityRatios') === true;
  return async (flags: RowFlags, source: RowSource): Promise<Dataset<UnpairedExample>> => {
    const { scoreFrom } = flags;
    const { examples, report } = await loadUnpaired({
      ...loadOptions(flags, source),
      ...(scoreFrom !== undefined && { scoreFrom: scoreFrom as 'shared' | 'per-side' }),
      mismatched,
    });
    return { report, examples: weighed ? examples.map(withDensityRatio) : examples };
  };
}

/** The column `density_ratio`, of each of the row's completions. */
function withDensityRatio(example: UnpairedExample): UnpairedExample & { readonly densityRatios: readonly number[] } {
  const { density_ratio: ratio } = example.extra;
  if (typeof ratio === 'number' && ratio > 0 && Number.isFinite(ratio))
    return { ...example, densityRatios: example.labels.map(() => ratio) };
  const received = JSON.stringify(ratio) ?? 'nothing';
  throw new DataError(
    `${placeText(example.where)} \`density_ratio\`: expected a positive number, received ${received}.`,
    {
      code: 'bad-rows',
      where: example.where,
      expected: 'a positive number',
      received,
      remedy: 'Give every row the column `density_ratio`, or leave `densityRatio` off.',
    },
  );
}

/** Text, or prompts with completions; files of pairs are read by one side. */
export async function loadTexts(flags: RowFlags, source: RowSource): Promise<Dataset<TextExample>> {
  const { score, side = 'chosen' } = flags;
  const options = {
    ...loadOptions(flags, source),
    ...(score !== undefined && { score: score as 'completion' | 'all' }),
  };
  return firstThatFits(
    () => loadText(options),
    () => loadText({ ...options, side: side as 'chosen' | 'rejected' }),
  );
}

/** Tries another reading of files whose rows fit no format of the first; the first complaint stands if neither fits. */
export async function firstThatFits<A, B>(first: () => Promise<A>, second: () => Promise<B>): Promise<A | B> {
  try {
    return await first();
  } catch (error) {
    if (!(error instanceof DataError) || error.code !== 'unknown-format') throw error;
    return second().catch((other) => {
      throw other instanceof DataError && other.code === 'unknown-format' ? error : other;
    });
  }
}
