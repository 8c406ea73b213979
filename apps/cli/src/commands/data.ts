import { type Command, Option } from '@commander-js/extra-typings';
import { checkData, formats, type Truncation, truncations } from '@kelpie/data';
import { modelDimensions } from '@kelpie/policy';
import { checkText } from '../check-text.js';
import type { Context } from '../context.js';
import { exitCodes, UsageError } from '../exit.js';
import { countFlag, unset } from '../flags.js';
import { requireFolder, tokenizerAt } from '../model.js';
import { columnsOf } from '../rows.js';
import { vocabularyWarnings } from '../vocabulary.js';

interface Flags {
  readonly model?: string;
  readonly tokenizer?: string;
  readonly maxLength?: number;
  readonly format?: string;
  readonly columns?: readonly string[];
  readonly truncation?: string;
  readonly heldout?: readonly string[];
  readonly json?: boolean;
}

export function addData(program: Command, context: Context): void {
  const data = program
    .command('data')
    .summary('look at rows before training on them')
    .description('Looks at rows before they are trained on.')
    .helpCommand(false);
  const command = data
    .command('check')
    .summary('what is wrong with rows, what it does, what to do about it')
    .description(
      'Reads rows as training would: lengths, duplicates, empty and identical sides, truncation, what a preference may be for. Says of each finding what it does to training and what to do about it.',
    )
    .argument(
      '<file...>',
      'pairs, completions with a label, prompts with completions, or text; .jsonl, .ndjson or .json, also .gz',
    )
    .addHelpText(
      'after',
      `
Examples:
  kelpie data check pairs.jsonl                     the text alone
  kelpie data check pairs.jsonl --model base        also tokens, and the context of the model
  kelpie data check a.jsonl b.jsonl --tokenizer base --max-length 512 --json

Ends with exit code 1 if it finds an error, which is what would stop a training; with 0 if there are only warnings and
notes.`,
    );
  const flags = [
    new Option('-m, --model <folder>', 'of the model to train: its tokenizer and context'),
    new Option('--tokenizer <folder>', 'where the tokenizer is'),
    unset(countFlag('--max-length <n>', 'tokens of a row at most', 2), "the model's context"),
    unset(new Option('--truncation <rule>', 'of rows that are too long').choices(truncations), 'as in training'),
    unset(
      new Option('--format <name>', 'how the rows are laid out').choices([...formats.keys()].sort()),
      'found by their columns',
    ),
    new Option('--columns <name=column...>', 'columns under other names: prompt=question'),
    new Option('--heldout <file...>', 'rows to evaluate on: those that also stand in the data are told'),
    new Option('--json', 'as JSON'),
  ];
  for (const flag of flags) command.addOption(flag);
  command.action((files, given) => check(files, given as unknown as Flags, context));
}

async function check(files: readonly string[], flags: Flags, { terminal, leaveWith }: Context): Promise<void> {
  const { model, format, columns, truncation, heldout, json } = flags;
  if (model !== undefined) requireFolder(model, '--model');
  const folder = flags.tokenizer ?? model;
  const tokenizer = folder === undefined ? undefined : await tokenizerAt(folder);
  const dimensions = model === undefined ? undefined : await modelDimensions(model);
  const { contextLength = Number.MAX_SAFE_INTEGER, vocabularySize } = dimensions ?? {};
  const { maxLength = contextLength } = flags;
  if (maxLength > contextLength) {
    throw new UsageError(`--max-length: ${maxLength} is more than the model's context of ${contextLength} tokens`);
  }
  if (tokenizer === undefined && (flags.maxLength !== undefined || truncation !== undefined)) {
    throw new UsageError(
      'lengths are counted in tokens: name a folder with a tokenizer with `--model` or `--tokenizer`',
    );
  }
  if (tokenizer !== undefined && vocabularySize !== undefined)
    terminal.warn(vocabularyWarnings(tokenizer, vocabularySize));
  const result = await checkData({
    files,
    tokenizer,
    maxLength,
    vocabularySize,
    format,
    truncation: truncation as Truncation | undefined,
    heldout,
    ...(columns && { columns: columnsOf(columns) }),
  });
  terminal.print(json ? JSON.stringify(result, null, 2) : checkText(result, terminal));
  if (result.findings.some(({ severity }) => severity === 'error')) leaveWith(exitCodes.found);
}
