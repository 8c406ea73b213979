import { existsSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Command, Option } from '@commander-js/extra-typings';
import { reportText } from '@kelpie/data';
import { type Objective, objectives } from '@kelpie/objectives';
import { type LoraOptions, type OpenOptions, openPolicy, type Policy, type Tokenizer } from '@kelpie/policy';
import { type Example, holdOut, jsonl, type OfflineResult, timing, trainOffline, trainOptions } from '@kelpie/runner';
import type { Context } from '../context.js';
import { exitCodes, UsageError } from '../exit.js';
import { countFlag, type FlagSet, flagsOf, numberFlag, unset } from '../flags.js';
import { type ModelFlags, requireFolder, threadsFlag, tokenizerAt, tokenizerFlag } from '../model.js';
import { grouped, shellQuote, type Terminal } from '../print.js';
import { labelled, Progress } from '../progress.js';
import { loadPairs, loadTexts, type RowFlags, rowFlags } from '../rows.js';
import { verdictText } from '../verdict.js';

interface Flags extends ModelFlags, RowFlags {
  readonly data?: readonly string[];
  readonly heldout?: readonly string[];
  readonly heldoutFraction?: number;
  readonly init?: string;
  readonly lora?: number | true;
  readonly loraAlpha?: number;
  readonly loraRslora?: boolean;
  readonly loraTargets?: string;
  readonly merge?: boolean;
  readonly out?: string;
  readonly resume?: boolean;
  readonly selfCheck: boolean;
}

/** Objectives whose rows can stand in a file. */
function isOffline({ rows, needs: { old = [], perToken = [], batches = [] } }: Objective): boolean {
  return rows !== 'groups' && old.length + perToken.length + batches.length === 0;
}

export const offlineObjectives = (): Objective[] => Object.values(objectives).filter(isOffline);

export function addTrain(program: Command, context: Context): void {
  const train = program
    .command('train')
    .summary('train a model on preferences or text')
    .description('Trains a model. Each objective has its own options: `kelpie train dpo --help`.')
    .usage('<objective> --data <file...> --model <folder> --out <folder> [options]')
    .helpCommand(false)
    .commandsGroup('Objectives:');
  for (const objective of offlineObjectives()) train.addCommand(trainWith(objective, context));
}

function trainWith(objective: Objective, context: Context): Command {
  const own = objective.describeOptions().map(({ name }) => name);
  const clash = Object.fromEntries(
    own.filter((name) => name in trainOptions.shape).map((name) => [name, `${objective.name}-${name}`]),
  );
  const ownFlags = flagsOf(objective.options, { group: `Options of ${objective.name}:`, rename: clash });
  const runFlags = flagsOf(trainOptions, { group: 'Training:', rename: { heldout: 'heldout-fraction' } });
  const command = new Command(objective.name)
    .summary(objective.title.toLowerCase())
    .description(`${objective.title}. ${objective.summary}\n${objective.paper}`)
    .usage('--data <file...> --model <folder> --out <folder> [options]')
    .addHelpText('after', examplesOf(objective));
  const text = objective.rows === 'single';
  const all = [
    ...ownFlags.flags,
    ...fileFlags(objective),
    ...rowFlags({ pairs: !text, text }),
    ...startFlags(),
    ...loraFlags(),
    ...runFlags.flags,
    new Option('--no-self-check', 'turns off: a few identities are checked before the first step').helpGroup(
      'Training:',
    ),
  ];
  for (const option of all) command.addOption(option);
  command.action(async (parsed) => {
    const flags = parsed as unknown as Flags;
    const given = runOptionsOf(command, runFlags, parsed as Record<string, unknown>);
    await train(
      objective,
      { flags, objectiveOptions: ownFlags.pick(parsed as Record<string, unknown>), runOptions: given },
      context,
    );
  });
  return command as unknown as Command;
}

/** Options of the run; a default that a file of held-out rows makes pointless is left out. */
function runOptionsOf(
  command: { getOptionValueSource(key: string): unknown },
  flags: FlagSet,
  parsed: Record<string, unknown>,
): Record<string, unknown> {
  const options = flags.pick(parsed);
  if (parsed.heldout === undefined) return options;
  if (command.getOptionValueSource('heldoutFraction') === 'cli') {
    throw new UsageError(
      'give held-out rows with `--heldout`, or a share of the data with `--heldout-fraction`, not both',
    );
  }
  return { ...options, heldout: 0 };
}

function examplesOf({ name, rows }: Objective): string {
  const data = rows === 'single' ? 'texts.jsonl' : 'pairs.jsonl';
  const lines = [
    `kelpie train ${name} --model base --data ${data} --out out --learning-rate 1e-5 --epochs 2`,
    `kelpie train ${name} --model base --data ${data} --out out --lora 16 --learning-rate 1e-4`,
    ...(rows === 'single'
      ? [`kelpie train ${name} --init config.json --tokenizer tokenizer --data ${data} --out out`]
      : []),
  ];
  return `\nExamples:\n${lines.map((line) => `  ${line}`).join('\n')}`;
}

function fileFlags({ rows }: Objective): Option[] {
  const kind =
    rows === 'single'
      ? 'text, prompts with completions, or pairs (of which one side is read)'
      : 'pairs: prompt, chosen, rejected';
  return [
    new Option('-d, --data <file...>', `${kind}; .jsonl or .json, also .gz`),
    new Option('--heldout <file...>', 'rows to evaluate on, in place of a share of the data'),
  ].map((option) => option.helpGroup('Data:'));
}

function startFlags(): Option[] {
  return [
    new Option('-m, --model <folder>', 'a Hugging Face model folder to start from').conflicts('init'),
    new Option('--init <config.json>', 'or the config of a model to start from random weights'),
    new Option('-o, --out <folder>', 'where the run and its model go'),
    new Option('--resume', 'goes on from the newest checkpoint in --out'),
    tokenizerFlag(),
    threadsFlag(),
  ].map((option) => option.helpGroup('Model:'));
}

function loraFlags(): Option[] {
  const alpha = numberFlag('--lora-alpha <n>', 'scales the adapter by alpha / rank', { exclusiveMinimum: 0 });
  return [
    countFlag('--lora [rank]', 'trains a low-rank adapter instead of the weights, of rank 16 if not told').preset('16'),
    unset(alpha, 'twice the rank'),
    new Option('--lora-rslora', 'scales it by alpha / sqrt(rank)'),
    unset(new Option('--lora-targets <names>', 'layers that get one: q_proj,v_proj'), 'all-linear, all but the head'),
    new Option('--adapter <folder>', 'a PEFT folder to go on training').conflicts('lora'),
    new Option('--merge', 'saves the whole model with the adapter merged in, not a PEFT folder'),
  ].map((option) => option.helpGroup('LoRA:'));
}

interface Request {
  readonly flags: Flags;
  readonly objectiveOptions: Record<string, unknown>;
  readonly runOptions: Record<string, unknown>;
}

async function train(objective: Objective, request: Request, context: Context): Promise<void> {
  const { flags, objectiveOptions, runOptions } = request;
  const { terminal } = context;
  objective.resolveOptions(objectiveOptions);
  const { data, out } = requireRun(flags);
  const tokenizer = await tokenizerAt(flags.tokenizer ?? flags.model ?? dirname(flags.init!));
  terminal.status(terminal.noteColor.dim('opening the model ...'));
  await using policy = await openPolicy(openOptions(flags, Number(runOptions.seed ?? 0)));
  terminal.status('');
  introduce(objective, policy, flags, terminal);
  const { examples, heldout } = await readRows(objective, { ...request, data }, { policy, tokenizer }, terminal);
  const stopping = interruptible(context);
  const loggers = [
    jsonl(join(out, 'metrics.jsonl')),
    timing(join(out, 'timing.jsonl')),
    new Progress(terminal, { divergence: flags.init === undefined }),
  ];
  let result: OfflineResult;
  try {
    result = await trainOffline({
      policy,
      objective,
      objectiveOptions,
      examples,
      heldout,
      options: runOptions,
      outFolder: out,
      resume: flags.resume === true,
      signal: stopping.signal,
      loggers,
      tokenizer: readable(tokenizer),
      save: { tokenizer: tokenizer.folder, merge: flags.merge === true },
      ...(!flags.selfCheck && { selfCheckTolerance: false as const }),
    });
  } finally {
    terminal.status('');
    stopping.done();
  }
  if (result.stopped) sayHowToGoOn(result, context);
  else conclude(result, { flags, saved: join(out, 'model'), prompt: firstPrompt(heldout[0] ?? examples[0]) }, terminal);
}

function introduce({ name, title }: Objective, { info }: Policy, { model, init }: Flags, terminal: Terminal): void {
  const { color, noteColor } = terminal;
  const { modelType, parameters, trainedParameters, contextLength, unknownConfigKeys } = info;
  const trained = trainedParameters === parameters ? '' : `, ${grouped(trainedParameters)} trained`;
  const start = model ?? `new, from ${init}`;
  terminal.print(`${color.bold(`kelpie train ${name}`)}  ${title}`);
  const facts = `${modelType}, ${grouped(parameters)} parameters${trained}, context ${contextLength} tokens`;
  terminal.print(labelled(terminal, 'model', `${start}\n${facts}`));
  if (unknownConfigKeys.length === 0) return;
  terminal.note(`${noteColor.yellow('warning:')} not used of config.json: ${unknownConfigKeys.join(', ')}`);
}

function sayHowToGoOn({ step, steps }: OfflineResult, { terminal, argv, leaveWith }: Context): void {
  const again = argv.includes('--resume') ? argv : [...argv, '--resume'];
  const said =
    step > 0 ? `stopped after step ${step} of ${steps}; to go on:` : 'stopped before the first step; to begin:';
  terminal.print(`\n${said}\n  ${command(again)}`);
  leaveWith(exitCodes.interrupted);
}

interface Ending {
  readonly flags: Flags;
  readonly saved: string;
  readonly prompt: string;
}

function conclude({ verdict }: OfflineResult, { flags, saved, prompt }: Ending, terminal: Terminal): void {
  if (verdict !== undefined)
    terminal.print(`\n${verdictText(verdict, terminal, { divergence: flags.init === undefined })}`);
  terminal.print(`\n${labelled(terminal, 'saved', saved)}`);
  terminal.print(`${terminal.color.dim('try it')}\n  ${command(tryIt(saved, flags, prompt))}`);
}

const command = (argv: readonly string[]): string => `kelpie ${argv.map(shellQuote).join(' ')}`;

function tryIt(saved: string, { model, merge, lora, adapter }: Flags, prompt: string): string[] {
  const peft = (lora !== undefined || adapter !== undefined) && merge !== true;
  return ['generate', ...(peft ? ['--model', model!, '--adapter', saved] : ['--model', saved]), '--prompt', prompt];
}

/** The prompt of a row, or the first words of a text. */
function firstPrompt(
  example: (Example & { readonly prompt: string; readonly completion?: string }) | undefined,
): string {
  if (example === undefined) return 'Hello';
  return example.prompt !== '' ? example.prompt : (example.completion ?? '').split(' ').slice(0, 5).join(' ');
}

/** Checks what can be checked before anything is opened. */
function requireRun(flags: Flags): { readonly data: readonly string[]; readonly out: string } {
  const { data, out } = flags;
  requireStart(flags);
  if (data === undefined) throw new UsageError('which rows? Name a file or more with `--data`');
  if (out === undefined) throw new UsageError('where to? Name a folder for the run and its model with `--out`');
  requireOut(out, flags.resume === true);
  return { data, out };
}

function requireStart({ model, init, lora, adapter, merge, ...flags }: Flags): void {
  if (model === undefined && init === undefined) {
    throw new UsageError('what to train? Give a model folder with `--model`, or a config to start from with `--init`');
  }
  if (model !== undefined) requireWeights(model);
  if (adapter !== undefined) requireFolder(adapter, '--adapter');
  if (init !== undefined && !existsSync(init)) throw new UsageError(`--init: there is no file \`${init}\``);
  if (init !== undefined && (lora !== undefined || adapter !== undefined)) {
    throw new UsageError('an adapter needs a trained base: give it with `--model`, not `--init`');
  }
  const only = (['loraAlpha', 'loraRslora', 'loraTargets'] as const).find((name) => flags[name] !== undefined);
  if (lora === undefined && only !== undefined) {
    throw new UsageError(`\`--${only.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`)}\` goes with \`--lora\``);
  }
  if (merge && lora === undefined && adapter === undefined)
    throw new UsageError('`--merge` goes with `--lora` or `--adapter`');
}

/** A config on its own is taken for a slip of the flag. */
function requireWeights(model: string): void {
  requireFolder(model, '--model');
  const files = readdirSync(model);
  if (!files.includes('config.json') || files.some((file) => /\.(safetensors|bin)/.test(file))) return;
  const config = join(model, 'config.json');
  throw new UsageError(
    `--model: \`${model}\` has a config and no weights; to start from random ones: \`--init ${config}\``,
  );
}

/** Nothing that is there is overwritten. */
function requireOut(out: string, resume: boolean): void {
  if (!existsSync(out)) return;
  if (resume) {
    if (existsSync(join(out, 'run.json')))
      throw new UsageError(`the run in \`${out}\` is finished: its model is in \`${join(out, 'model')}\``);
    return;
  }
  if (readdirSync(out).length === 0) return;
  const has = (name: string) => existsSync(join(out, name));
  const also = has('checkpoints') ? ', or go on with `--resume`' : ', or begin that run again with `--resume`';
  const way = has('metrics.jsonl') && !has('run.json') ? also : '';
  throw new UsageError(`--out: \`${out}\` is not empty, and nothing is overwritten: name another folder${way}`);
}

function openOptions(
  { model, init, lora, loraAlpha, loraRslora, loraTargets, adapter, threads }: Flags,
  seed: number,
): OpenOptions {
  const rank = lora === true ? 16 : lora;
  const fresh: LoraOptions | undefined =
    rank === undefined
      ? undefined
      : {
          rank,
          alpha: loraAlpha ?? 2 * rank,
          rslora: loraRslora === true,
          targetModules:
            loraTargets === undefined || loraTargets === 'all-linear' ? 'all-linear' : loraTargets.split(','),
          seed,
        };
  return {
    ...(model === undefined ? { init: { config: init!, seed } } : { model }),
    ...(fresh && { lora: fresh }),
    ...(adapter !== undefined && { adapter }),
    ...(threads !== undefined && { threads }),
    keepReference: true,
  };
}

type Loaded = Example & { readonly prompt: string; readonly completion?: string };

async function readRows(
  objective: Objective,
  { flags, runOptions, data }: Request & { readonly data: readonly string[] },
  { policy, tokenizer }: { readonly policy: Policy; readonly tokenizer: Tokenizer },
  terminal: Terminal,
): Promise<{ readonly examples: readonly Loaded[]; readonly heldout: readonly Loaded[] }> {
  const { contextLength, vocabularySize } = policy.info;
  const read = async (label: string, files: readonly string[]): Promise<Loaded[]> => {
    const source = { files, tokenizer, contextLength, vocabularySize };
    const { examples, report } = await (objective.rows === 'single'
      ? loadTexts(flags, source)
      : loadPairs(flags, source));
    terminal.print(labelled(terminal, label, reportText(report)));
    // Of a pair, the first branch is the chosen one.
    return objective.rows === 'unpaired' ? examples.map((example) => ({ ...example, labels: [1, 0] })) : examples;
  };
  const examples = await read('data', data);
  if (flags.heldout !== undefined) return { examples, heldout: await read('held out', flags.heldout) };
  const { heldout, seed } = trainOptions.parse(runOptions);
  const held = holdOut(examples, { heldout, seed });
  return { examples: held.train, heldout: held.heldout };
}

/** Samples as people read them. */
function readable(tokenizer: Tokenizer): Pick<Tokenizer, 'decode' | 'hash' | 'eosTokens'> {
  const { hash, eosTokens } = tokenizer;
  return { hash, eosTokens, decode: (ids) => tokenizer.decode(ids, { skipSpecialTokens: true }) };
}

/** The first Ctrl-C finishes the step and keeps it, the second ends the process. */
function interruptible({ io, terminal }: Context): { signal: AbortSignal; done: () => void } {
  const stopping = new AbortController();
  const done = io.onInterrupt(() => {
    if (stopping.signal.aborted) {
      io.exit(exitCodes.interrupted);
      return;
    }
    terminal.note(
      terminal.noteColor.yellow('finishing this step and writing a checkpoint; Ctrl-C again stops at once'),
    );
    stopping.abort();
  });
  return { signal: stopping.signal, done };
}
