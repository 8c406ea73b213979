import { type Command, Option } from '@commander-js/extra-typings';
import { plan } from '@kelpie/data';
import { openPolicy, type Policy, type ScoreName, type ScoreRequest, type TokenScores } from '@kelpie/policy';
import { budgetOf } from '@kelpie/runner';
import type { Context } from '../context.js';
import { UsageError } from '../exit.js';
import { countFlag, numberFlag } from '../flags.js';
import { locate, type ModelFlags, modelFlags, requireFolder, threadWarnings, tokenizerAt } from '../model.js';
import { firstThatFits, loadPairs, loadTexts, type RowFlags, rowFlags } from '../rows.js';
import { type Example, isPair, type Scored, type ScoredRow, scoreText } from '../score-text.js';
import { vocabularyWarnings } from '../vocabulary.js';

interface Flags extends ModelFlags, RowFlags {
  readonly data?: readonly string[];
  readonly reference?: string;
  readonly beta: number;
  readonly tokens?: boolean;
  readonly json?: boolean;
  readonly limit?: number;
  readonly microBatchTokens?: number;
}

export function addScore(program: Command, context: Context): void {
  const command = program
    .command('score')
    .summary('log-probabilities of completions and pairs')
    .description('Gives the log-probability of each completion; of pairs, both sides and their margin.')
    .addHelpText(
      'after',
      `
Examples:
  kelpie score --model out/model --data heldout.jsonl --limit 20
  kelpie score --model out/model --reference base --data heldout.jsonl --json > scores.jsonl`,
    );
  const reference = [
    new Option('--reference <folder>', 'another model of the same shape: adds implicit rewards and the KL to it'),
    numberFlag('--beta <n>', 'implicit reward = beta times the logratio', { exclusiveMinimum: 0 }).default(0.1),
  ].map((option) => option.helpGroup('Reference:'));
  const output = [
    new Option('--tokens', 'the log-probability of every token'),
    new Option('--json', 'one JSON object a row'),
    countFlag('--limit <n>', 'only the first rows'),
    countFlag('--micro-batch-tokens <n>', 'tokens computed at once at most (default: as in training)'),
  ].map((option) => option.helpGroup('Output:'));
  const data = new Option('-d, --data <file...>', 'pairs, prompts with completions, or text');
  const all = [
    ...modelFlags(),
    ...reference,
    data.helpGroup('Data:'),
    ...rowFlags({ pairs: true, text: true }),
    ...output,
  ];
  for (const option of all) command.addOption(option);
  command.action((flags) => score(flags as unknown as Flags, context));
}

async function score(flags: Flags, { terminal }: Context): Promise<void> {
  const { data: files } = flags;
  if (files === undefined) throw new UsageError('which rows? Name a file or more with `--data`');
  const place = await locate(flags);
  if (flags.reference !== undefined) requireFolder(flags.reference, '--reference');
  const tokenizer = await tokenizerAt(place.tokenizer);
  const { model, adapter } = place;
  await using policy = await openPolicy({
    model,
    ...(adapter !== undefined && { adapter }),
    ...(flags.reference !== undefined && { reference: flags.reference }),
    ...(flags.threads !== undefined && { threads: flags.threads }),
  });
  const unfit = vocabularyWarnings(tokenizer, policy.info.vocabularySize);
  terminal.warn([...policy.info.warnings, ...unfit, ...threadWarnings(flags.threads)]);
  const { contextLength, vocabularySize } = policy.info;
  const source = { files, tokenizer, contextLength, vocabularySize };
  const dataset = await firstThatFits<{ examples: Example[] }, { examples: Example[] }>(
    () => loadPairs(flags, source),
    () => loadTexts(flags, source),
  );
  const examples = dataset.examples.slice(0, flags.limit);
  const scored = await scoreAll(policy, examples, flags, (done) =>
    terminal.status(terminal.noteColor.dim(`scored ${done} of ${examples.length} rows`)),
  );
  terminal.status('');
  const withTokens = flags.tokens === true;
  const rows = examples.map((example, i) => ({
    example,
    sides: scored[i]!.map(({ logprobs, ...side }, branch) => ({
      ...side,
      ...(withTokens && { perToken: tokensOf(example, branch, logprobs, (id) => tokenizer.decode([id])) }),
    })),
  }));
  if (flags.json) for (const row of rows) terminal.print(JSON.stringify(asJson(row)));
  else terminal.print(scoreText(rows, terminal));
}

async function scoreAll(policy: Policy, examples: readonly Example[], flags: Flags, onDone: (done: number) => void) {
  const { reference, beta, microBatchTokens = budgetOf(policy.info.parameters, examples) } = flags;
  const results: (Scored & { logprobs: number[] })[][] = [];
  const { microBatches } = plan({
    examples,
    rowsPerStep: Math.max(1, examples.length),
    microBatchTokens,
    shuffle: false,
  }).at(0);
  let done = 0;
  for (const indices of microBatches) {
    const trees = indices.map((index) => examples[index]!.tree);
    const names: ScoreName[] = reference === undefined ? ['logprobs'] : ['logprobs', 'reverseKl'];
    const request: ScoreRequest = { trees, scores: names };
    const scores = await policy.score(request);
    const anchor =
      reference === undefined ? undefined : await policy.score({ trees, scores: ['logprobs'], of: 'reference' });
    let row = 0;
    for (const index of indices) {
      results[index] = examples[index]!.tree.branches.map(() => scoredRow(scores, anchor, row++, beta));
    }
    done += indices.length;
    onDone(done);
  }
  return results;
}

function scoredRow(
  scores: TokenScores,
  anchor: TokenScores | undefined,
  row: number,
  beta: number,
): Scored & { logprobs: number[] } {
  const { completionMask, tokens: width } = scores;
  const of = (values: Float64Array) =>
    Array.from(values.subarray(row * width, (row + 1) * width)).filter((_, t) => completionMask[row * width + t] === 1);
  const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);
  const logprobs = of(scores.logprobs!);
  const sequenceLogprob = sum(logprobs);
  return {
    sequenceLogprob,
    averageLogprob: sequenceLogprob / Math.max(1, logprobs.length),
    tokens: logprobs.length,
    ...(anchor && {
      implicitReward: beta * (sequenceLogprob - sum(of(anchor.logprobs!))),
      reverseKl: sum(of(scores.reverseKl!)),
    }),
    logprobs,
  };
}

function tokensOf({ tree }: Example, branch: number, logprobs: readonly number[], text: (id: number) => string) {
  const { ids, scoreFrom } = tree.branches[branch]!;
  const scored = [...tree.trunk, ...ids].slice(scoreFrom);
  return logprobs.map((logprob, t) => ({ text: text(scored[t]!), logprob }));
}

function asJson({ example, sides }: ScoredRow) {
  const { id, where, prompt } = example;
  const place = { id, file: where.file, line: where.line, prompt };
  if (!isPair(example)) return { ...place, completion: example.completion, ...sides[0] };
  const [chosen, rejected] = [sides[0]!, sides[1]!];
  return {
    ...place,
    chosen: { completion: example.chosen, ...chosen },
    rejected: { completion: example.rejected, ...rejected },
    margin: chosen.sequenceLogprob - rejected.sequenceLogprob,
    ...(chosen.implicitReward !== undefined && { rewardMargin: chosen.implicitReward - rejected.implicitReward! }),
  };
}
