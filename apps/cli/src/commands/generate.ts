import { readFile } from 'node:fs/promises';
import { type Command, Option } from '@commander-js/extra-typings';
import { type Completion, openPolicy, type SampleRequest, type Tokenizer } from '@kelpie/policy';
import type { Context } from '../context.js';
import { UsageError } from '../exit.js';
import { countFlag, numberFlag } from '../flags.js';
import { completionText, locate, type ModelFlags, modelFlags, threadWarnings, tokenizerAt } from '../model.js';
import { duration, figure, grouped, type Terminal, wrap } from '../print.js';
import { vocabularyWarnings } from '../vocabulary.js';

interface Flags extends ModelFlags {
  readonly prompt?: readonly string[];
  readonly prompts?: string;
  readonly chat?: boolean;
  readonly number: number;
  readonly maxNewTokens: number;
  readonly temperature: number;
  readonly topK?: number;
  readonly topP?: number;
  readonly minP?: number;
  readonly seed: number;
  readonly json?: boolean;
}

export function addGenerate(program: Command, context: Context): void {
  const command = program
    .command('generate')
    .summary('write completions of prompts')
    .description('Writes completions of prompts with a model folder, or with a PEFT folder on its base.')
    .addHelpText(
      'after',
      `
Examples:
  kelpie generate --model out/model --prompt "My review:"
  kelpie generate --model out/model --prompts prompts.txt -n 4 --temperature 0.7 --json > completions.jsonl
  kelpie generate --adapter out/model --prompt "What is kelp?" --chat`,
    );
  for (const option of [...modelFlags(), ...promptFlags(), ...samplingFlags()]) command.addOption(option);
  command.action((flags) => generate(flags as unknown as Flags, context));
}

function promptFlags(): Option[] {
  return [
    new Option('-p, --prompt <text...>', 'one or more prompts'),
    new Option('--prompts <file>', 'prompts from a file: one a line, or .jsonl with a `prompt` each; - for stdin'),
    new Option('--chat', "takes each prompt for a user's turn, in the model's chat template"),
    countFlag('-n, --number <n>', 'completions of each prompt').default(1),
    new Option('--json', 'one JSON object a completion, with ids and log-probabilities'),
  ].map((option) => option.helpGroup('Prompts:'));
}

function samplingFlags(): Option[] {
  return [
    countFlag('--max-new-tokens <n>', 'tokens of a completion at most').default(128),
    numberFlag('--temperature <n>', 'divides the logits; 0 takes the likeliest token', { minimum: 0 }).default(1),
    countFlag('--top-k <n>', 'only the k likeliest tokens'),
    numberFlag('--top-p <n>', 'only the likeliest tokens that together have this probability', {
      exclusiveMinimum: 0,
      maximum: 1,
    }),
    numberFlag('--min-p <n>', "only tokens with this share of the likeliest one's probability", {
      minimum: 0,
      maximum: 1,
    }),
    numberFlag('--seed <n>', 'of the draws', { type: 'integer' }).default(0),
  ].map((option) => option.helpGroup('Sampling:'));
}

async function generate(flags: Flags, { terminal, io }: Context): Promise<void> {
  const prompts = await readPrompts(flags);
  const place = await locate(flags);
  const tokenizer = await tokenizerAt(place.tokenizer);
  const { model, adapter } = place;
  await using policy = await openPolicy({
    model,
    ...(adapter !== undefined && { adapter }),
    ...(flags.threads !== undefined && { threads: flags.threads }),
  });
  const unfit = vocabularyWarnings(tokenizer, policy.info.vocabularySize);
  terminal.warn([...policy.info.warnings, ...unfit, ...threadWarnings(flags.threads)]);
  const ids = prompts.map((prompt) => encode(tokenizer, prompt, flags.chat === true));
  warnOfUnknown(prompts, ids, tokenizer, terminal);
  const { contextLength } = policy.info;
  ids.forEach((prompt, i) => {
    if (prompt.length === 0)
      throw new UsageError('an empty prompt makes no tokens, and this tokenizer adds none: write something');
    if (prompt.length >= contextLength) {
      throw new UsageError(
        `prompt ${i + 1} has ${prompt.length} tokens, which leaves no room in the model's context of ${contextLength}`,
      );
    }
  });
  const stopping = new AbortController();
  const listening = io.onInterrupt(() => stopping.abort(new UsageError('interrupted')));
  const started = performance.now();
  terminal.status(terminal.noteColor.dim(`writing ${grouped(ids.length * flags.number)} completions ...`));
  try {
    const completions = await policy.sample(requestOf(flags, ids, tokenizer), { signal: stopping.signal });
    terminal.status('');
    const seconds = (performance.now() - started) / 1000;
    if (flags.json)
      for (const completion of completions) terminal.print(JSON.stringify(asJson(completion, prompts, ids, tokenizer)));
    else show(completions, seconds);
  } finally {
    listening();
    terminal.status('');
  }

  function show(completions: readonly Completion[], seconds: number): void {
    const { width, color } = terminal;
    let shown = -1;
    completions.forEach((completion, i) => {
      const { prompt } = completion;
      const text = completionText(tokenizer, ids[prompt]!, completion.ids);
      const end = completion.ended ? '' : color.dim(' …');
      if (i > 0 && (flags.number === 1 || prompt !== shown)) terminal.print();
      if (flags.number === 1) terminal.print(`${color.dim(wrap(prompts[prompt]!, width))}${wrap(text, width)}${end}`);
      else {
        if (prompt !== shown) terminal.print(color.dim(wrap(prompts[prompt]!, width)));
        terminal.print(
          `${color.dim(`${(i % flags.number) + 1}`.padStart(3))} ${wrap(text.trimStart(), width - 4, '    ')}${end}`,
        );
      }
      shown = prompt;
    });
    const tokens = completions.reduce((sum, completion) => sum + completion.ids.length, 0);
    const cut = completions.filter(({ ended }) => !ended).length;
    const notes = [`${grouped(tokens)} tokens in ${duration(seconds)}, ${figure(tokens / seconds)} a second`];
    if (cut > 0)
      notes.push(`${cut} of ${completions.length} cut at ${flags.maxNewTokens} tokens or the context's end (…)`);
    terminal.note(terminal.noteColor.dim(`\n${notes.join('; ')}`));
  }
}

/** A prompt that the vocabulary lacks words of is not what the model sees. */
function warnOfUnknown(
  prompts: readonly string[],
  ids: readonly (readonly number[])[],
  { unkTokenId }: Tokenizer,
  terminal: Terminal,
): void {
  const unknown = prompts.filter((_, i) => unkTokenId !== undefined && ids[i]!.includes(unkTokenId));
  if (unknown.length === 0) return;
  const which = `${unknown.length} of ${prompts.length} prompts, the first \`${unknown[0]}\``;
  terminal.note(`${terminal.noteColor.yellow('warning:')} the vocabulary lacks words of ${which}`);
}

function requestOf(flags: Flags, prompts: readonly (readonly number[])[], tokenizer: Tokenizer): SampleRequest {
  const { number, maxNewTokens, temperature, topK, topP, minP, seed } = flags;
  return {
    prompts,
    completions: number,
    maxNewTokens,
    temperature,
    seed,
    stop: tokenizer.eosTokens,
    ...(topK !== undefined && { topK }),
    ...(topP !== undefined && { topP }),
    ...(minP !== undefined && { minP }),
  };
}

function encode(tokenizer: Tokenizer, prompt: string, chat: boolean): number[] {
  if (!chat) return tokenizer.encode(prompt);
  const text = tokenizer.applyChatTemplate([{ role: 'user', content: prompt }], { addGenerationPrompt: true });
  return tokenizer.encode(text, { addSpecialTokens: false });
}

function asJson(
  { prompt, ids, logprobs, ended }: Completion,
  prompts: readonly string[],
  encoded: readonly (readonly number[])[],
  tokenizer: Tokenizer,
) {
  return {
    prompt: prompts[prompt],
    completion: completionText(tokenizer, encoded[prompt]!, ids),
    tokens: ids.length,
    ended,
    sequenceLogprob: logprobs.reduce((sum, logprob) => sum + logprob, 0),
    ids,
    logprobs: [...logprobs],
  };
}

async function readPrompts({ prompt = [], prompts }: Flags): Promise<string[]> {
  if (prompts === undefined) {
    if (prompt.length === 0)
      throw new UsageError('no prompt: give one with `--prompt`, or a file of them with `--prompts`');
    return [...prompt];
  }
  const text = await readFile(prompts === '-' ? '/dev/stdin' : prompts, 'utf8').catch((error: Error) => {
    throw new UsageError(`--prompts: \`${prompts}\` cannot be read: ${error.message}`);
  });
  const lines = text.split(/\r?\n/).filter((line) => line.trim() !== '');
  const read = /\.(jsonl|ndjson)$/.test(prompts)
    ? lines.map((line, i) => promptOf(line, `${prompts}:${i + 1}`))
    : lines;
  if (prompt.length + read.length === 0) throw new UsageError(`--prompts: \`${prompts}\` is empty`);
  return [...prompt, ...read];
}

function promptOf(line: string, place: string): string {
  try {
    const { prompt } = JSON.parse(line) as { prompt?: unknown };
    if (typeof prompt === 'string') return prompt;
  } catch {
    throw new UsageError(`${place}: expected a JSON object with a \`prompt\`, got no JSON`);
  }
  throw new UsageError(`${place}: expected a \`prompt\` that is text`);
}
