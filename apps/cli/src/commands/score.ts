import { type Command, Option } from '@commander-js/extra-typings';
import { type PreferenceExample, plan, type TextExample } from '@kelpie/data';
import { openPolicy, type Policy, type ScoreName, type ScoreRequest, type TokenScores } from '@kelpie/policy';
import type { Context } from '../context.js';
import { UsageError } from '../exit.js';
import { countFlag, numberFlag } from '../flags.js';
import { locate, type ModelFlags, modelFlags, requireFolder, tokenizerAt } from '../model.js';
import { figure, percent, signed, table } from '../print.js';
import { firstThatFits, loadPairs, loadTexts, type RowFlags, rowFlags } from '../rows.js';

interface Flags extends ModelFlags, RowFlags {
  readonly data?: readonly string[];
  readonly reference?: string;
  readonly beta: number;
  readonly tokens?: boolean;
  readonly json?: boolean;
  readonly limit?: number;
  readonly microBatchTokens: number;
}

type Example = PreferenceExample | TextExample;

/** Numbers of one completion, in nats. */
interface Scored {
  readonly sequenceLogprob: number;
  readonly averageLogprob: number;
  readonly tokens: number;
  /** With a reference: beta times the logratio, and the sum over positions of KL(policy ‖ reference). */
  readonly implicitReward?: number;
  readonly reverseKl?: number;
  /** Each token's text and log-probability. */
  readonly perToken?: readonly { readonly text: string; readonly logprob: number }[];
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
    countFlag('--micro-batch-tokens <n>', 'tokens computed at once at most').default(4096),
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
  else terminal.print(asText(rows, flags, terminal));
}

type Row = { readonly example: Example; readonly sides: readonly Scored[] };

async function scoreAll(policy: Policy, examples: readonly Example[], flags: Flags, onDone: (done: number) => void) {
  const { reference, beta, microBatchTokens } = flags;
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

const isPair = (example: Example): example is PreferenceExample => 'chosen' in example;

function asJson({ example, sides }: Row) {
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

function asText(rows: readonly Row[], { reference }: Flags, terminal: Context['terminal']): string {
  const { width, color } = terminal;
  const pairs = rows.every(({ example }) => isPair(example));
  const right = (title: string) => ({ title, align: 'right' as const });
  const rewards = reference !== undefined;
  const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / Math.max(1, values.length);
  const short = (text: string, room: number) =>
    (text.length > room ? `${text.slice(0, room - 1)}…` : text).replaceAll('\n', ' ');

  if (!pairs) {
    const columns = [
      right('log-prob'),
      right('a token'),
      right('tokens'),
      ...(rewards ? [right('reward'), right('KL')] : []),
      { title: 'completion' },
    ];
    const lines = rows.map(({ example, sides: [side] }) => [
      figure(side!.sequenceLogprob, 4),
      figure(side!.averageLogprob),
      String(side!.tokens),
      ...(rewards ? [signed(side!.implicitReward!), figure(side!.reverseKl!)] : []),
      short(`${isPair(example) ? '' : example.completion}`.trim(), Math.max(20, width - (rewards ? 50 : 30))),
    ]);
    const all = rows.map(({ sides }) => sides[0]!);
    const summary = [
      `${rows.length} rows`,
      `mean log-probability ${figure(mean(all.map(({ sequenceLogprob }) => sequenceLogprob)), 4)}`,
      `a token ${figure(
        all.reduce((s, { sequenceLogprob }) => s + sequenceLogprob, 0) /
          Math.max(
            1,
            all.reduce((s, { tokens }) => s + tokens, 0),
          ),
      )}`,
      ...(rewards ? [`KL ${figure(mean(all.map(({ reverseKl }) => reverseKl!)))} nats a completion`] : []),
    ];
    return withTokens(`${table(columns, lines, { width, color })}\n\n${summary.join(', ')}`);
  }
  const columns = [
    right('chosen'),
    right('rejected'),
    right('margin'),
    ...(rewards ? [right('reward margin')] : []),
    { title: 'prompt' },
  ];
  const margins = rows.map(({ sides }) => sides[0]!.sequenceLogprob - sides[1]!.sequenceLogprob);
  const rewardMargins = rows.map(({ sides }) => (sides[0]!.implicitReward ?? 0) - (sides[1]!.implicitReward ?? 0));
  const lines = rows.map(({ example, sides }, i) => [
    figure(sides[0]!.sequenceLogprob, 4),
    figure(sides[1]!.sequenceLogprob, 4),
    signed(margins[i]!),
    ...(rewards ? [signed(rewardMargins[i]!)] : []),
    short(example.prompt, Math.max(20, width - (rewards ? 50 : 35))),
  ]);
  const above = (values: readonly number[]) =>
    percent(values.filter((value) => value > 0).length / Math.max(1, values.length));
  const kls = rows.flatMap(({ sides }) => sides.map(({ reverseKl }) => reverseKl ?? 0));
  const summary = [
    `${rows.length} pairs: chosen likelier in ${above(margins)}, mean margin ${signed(mean(margins))}`,
    ...(rewards
      ? [
          `against the reference: reward accuracy ${above(rewardMargins)}, mean margin ${signed(mean(rewardMargins))}, KL ${figure(mean(kls))} nats a completion`,
        ]
      : []),
  ];
  return withTokens(`${table(columns, lines, { width, color })}\n\n${summary.join('\n')}`);

  function withTokens(text: string): string {
    const perToken = rows.flatMap(({ example, sides }) =>
      sides.flatMap(({ perToken: tokens }, side) => {
        if (tokens === undefined) return [];
        const label = isPair(example) ? ` ${['chosen', 'rejected'][side]}` : '';
        return [
          color.bold(`\n${example.id}${label}`),
          ...tokens.map(({ text, logprob }) => `${figure(logprob).padStart(8)}  ${JSON.stringify(text)}`),
        ];
      }),
    );
    return [text, ...perToken].join('\n');
  }
}
