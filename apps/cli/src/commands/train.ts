import { join } from 'node:path';
import { Command, Option } from '@commander-js/extra-typings';
import type { Objective } from '@kelpie/objectives';
import { openPolicy } from '@kelpie/policy';
import {
  jsonl,
  judgesSequences,
  type OfflineResult,
  padTokenOf,
  timing,
  trainOffline,
  trainOptions,
} from '@kelpie/runner';
import { clashes, setLayer } from '../config/flags.js';
import type { ReadConfig } from '../config/read.js';
import { objectiveNamed, type Resolved, requireObjective, resolveConfig } from '../config/resolve.js';
import type { StartConfig } from '../config/schema.js';
import type { Context } from '../context.js';
import { type CustomObjective, calledName, isObjectiveFile, loadObjective, sourceOf } from '../custom-objective.js';
import { dryRun } from '../dry-run.js';
import { exitCodes } from '../exit.js';
import { flagsOf } from '../flags.js';
import { tokenizerAt } from '../model.js';
import { offlineObjectives } from '../offline-objectives.js';
import { addOnline } from '../online/train.js';
import { type Io, shellQuote } from '../print.js';
import { labelled, Progress } from '../progress.js';
import { factsOf, reportRun } from '../report-page.js';
import { rowFlags } from '../rows.js';
import { type CallFlags, configFlags, layersOf, loraFlags, selfCheckFlag, startFlags } from '../run-flags.js';
import { openOptions, requireRun, tokenizerFolder } from '../start.js';
import { introduce, type Loaded, loopOptions, objectiveOptions, readable, readRows } from '../train-parts.js';
import { verdictText } from '../verdict.js';

/** With the objective of a file, if that is what is to be trained. */
export function addTrain(program: Command, context: Context, custom?: CustomObjective): void {
  const train = program
    .command('train')
    .summary('train a model on preferences or text')
    .description('Trains a model. Each objective has its own options: `kelpie train dpo --help`.')
    .usage('<objective> --data <file...> --model <folder> --out <folder> [options]')
    .addHelpText(
      'after',
      `
Examples:
  kelpie train dpo --model base --data pairs.jsonl --out tuned
  kelpie train grpo --model base --prompts prompts.jsonl --reward length:target=20 --out tuned
  kelpie train ./mine.ts --data pairs.jsonl ...     an objective of your own: docs/custom-objectives.md
  kelpie train --config run.yaml                    the config names the objective
  kelpie train --config run.yaml --dry-run          says what would be done, and does not`,
    )
    .helpCommand(false)
    .commandsGroup('Objectives:');
  for (const objective of custom ? [custom] : offlineObjectives()) train.addCommand(trainWith(objective, context));
  if (custom === undefined) addOnline(train as unknown as Command, context);
}

/** `train --config run.yaml` as `train dpo --config run.yaml`, if that is what the file names, or `--set`. */
export function withObjective(argv: readonly string[], read: ReadConfig): readonly string[] {
  const [command, first, ...rest] = argv;
  if (command !== 'train' || first === undefined || !first.startsWith('-')) return argv;
  const values = valuesOf([first, ...rest]);
  const files = values('--config', '-c');
  const layers = [...files.flatMap((file) => read(file)), setLayer(values('--set'))];
  if (objectiveNamed(layers) === undefined && argv.some((argument) => ['-h', '--help'].includes(argument))) return argv;
  return [command, requireObjective(layers, files.at(-1)), first, ...rest];
}

/** The objective in `train ./mine.ts`. */
export async function objectiveInFile([command, what = '']: readonly string[]): Promise<CustomObjective | undefined> {
  return command === 'train' && isObjectiveFile(what) ? loadObjective(what) : undefined;
}

/** The values of flags that take several, before any command is known. */
function valuesOf(argv: readonly string[]): (...names: string[]) => string[] {
  return (...names) => {
    const values: string[] = [];
    let open = false;
    for (const argument of argv) {
      const attached = names.flatMap((name) => attachedTo(name, argument));
      values.push(...attached);
      if (argument.startsWith('-')) open = names.includes(argument);
      else if (open) values.push(argument);
    }
    return values;
  };
}

/** The value in `--config=run.yaml` or `-crun.yaml`. */
function attachedTo(name: string, argument: string): string[] {
  const head = name.startsWith('--') ? `${name}=` : name;
  return argument.startsWith(head) && argument.length > head.length ? [argument.slice(head.length)] : [];
}

function trainWith(objective: Objective, context: Context): Command {
  const own = objective.describeOptions().map(({ name }) => name);
  const clash = Object.fromEntries(
    own.filter((name) => clashes(name, objective)).map((name) => [name, `${objective.name}-${name}`]),
  );
  const ownFlags = flagsOf(objective.options, { group: `Options of ${objective.name}:`, rename: clash });
  const runFlags = flagsOf(trainOptions, { group: 'Training:', rename: { heldout: 'heldout-fraction' } });
  const command = new Command(calledName(objective))
    .aliases(objective.name === 'reward-model' ? ['reward'] : [])
    .summary(objective.title.toLowerCase())
    .description(`${objective.title}. ${objective.summary}\n${objective.paper}`)
    .usage('--data <file...> --model <folder> --out <folder> [options]')
    .addHelpText('after', examplesOf(objective));
  const text = objective.rows === 'single';
  const all = [
    ...ownFlags.flags,
    ...configFlags(),
    ...fileFlags(objective),
    ...rowFlags({ pairs: !text, text }),
    ...startFlags(),
    ...loraFlags(),
    ...runFlags.flags,
    selfCheckFlag(),
  ];
  for (const option of all) command.addOption(option);
  command.action(async (parsed) => {
    const call = parsed as unknown as CallFlags;
    const resolved = resolveConfig(objective, layersOf(command as unknown as Command, objective, context));
    const source = sourceOf(objective);
    const resume = call.resume === true;
    if (call.dryRun)
      await dryRun(objective, resolved, { resume, ...(source && { objectiveHash: source.hash }) }, context);
    else await train(objective, resolved, { resume }, context);
  });
  return command as unknown as Command;
}

function examplesOf(objective: Objective): string {
  const { rows } = objective;
  const name = calledName(objective);
  const data = { single: 'texts.jsonl', unpaired: 'labelled.jsonl', pairs: 'pairs.jsonl', groups: 'pairs.jsonl' }[rows];
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
  const pairs = 'pairs: prompt, chosen, rejected';
  const kind = {
    single: 'text, prompts with completions, or pairs (of which one side is read)',
    unpaired: `prompt, completion, label (true or false); or ${pairs}`,
    pairs,
    groups: pairs,
  }[rows];
  return [
    new Option('-d, --data <file...>', `${kind}; .jsonl or .json, also .gz`),
    new Option('--heldout <file...>', 'rows to evaluate on, in place of a share of the data'),
  ].map((option) => option.helpGroup('Data:'));
}

async function train(
  objective: Objective,
  resolved: Resolved,
  call: { readonly resume: boolean },
  context: Context,
): Promise<void> {
  const { terminal } = context;
  const { config } = resolved;
  const { data, out } = requireRun(resolved, call);
  const tokenizer = await tokenizerAt(tokenizerFolder(config));
  terminal.status(terminal.noteColor.dim('opening the model ...'));
  await using policy = await openPolicy(openOptions(objective, config));
  terminal.status('');
  introduce(objective, { policy, tokenizer }, config, terminal);
  const { examples, heldout } = await readRows(objective, { ...resolved, data, policy, tokenizer }, terminal);
  const judges = judgesSequences(objective.needs);
  const source = sourceOf(objective);
  const stopping = interruptible(context);
  const { init } = config.model;
  const loggers = [
    jsonl(join(out, 'metrics.jsonl')),
    timing(join(out, 'timing.jsonl')),
    new Progress(terminal, { divergence: init === undefined && !judges }),
  ];
  let result: OfflineResult;
  try {
    result = await trainOffline({
      policy,
      objective,
      objectiveOptions: objectiveOptions(config),
      ...(source && { objectiveHash: source.hash }),
      examples,
      heldout,
      options: loopOptions(config),
      outFolder: out,
      resume: call.resume,
      signal: stopping.signal,
      loggers,
      tokenizer: readable(tokenizer),
      save: {
        tokenizer: tokenizer.folder,
        merge: config.output.merge,
        ...(judges && { padTokenId: padTokenOf(tokenizer) }),
      },
      ...(!config.training.selfCheck && { selfCheckTolerance: false as const }),
    });
  } finally {
    terminal.status('');
    stopping.done();
  }
  if (result.stopped) sayHowToGoOn(result, context);
  else {
    const prompt = judges ? undefined : firstPrompt(heldout[0] ?? examples[0]);
    conclude(result, { config, saved: join(out, 'model'), prompt }, context);
  }
  await reportRun({ out, step: result.step, facts: factsOf(config, data) }, context);
}

export function sayHowToGoOn(
  { step, steps }: Pick<OfflineResult, 'step' | 'steps'>,
  { terminal, io, argv, leaveWith }: Context,
): void {
  const again = argv.includes('--resume') ? argv : [...argv, '--resume'];
  const said =
    step > 0 ? `stopped after step ${step} of ${steps}; to go on:` : 'stopped before the first step; to begin:';
  terminal.print(`\n${said}\n  ${command(again, io)}`);
  leaveWith(exitCodes.interrupted);
}

interface Ending {
  readonly config: StartConfig;
  readonly saved: string;
  /** To try the model on, if it writes. */
  readonly prompt: string | undefined;
}

function conclude({ verdict }: OfflineResult, { config, saved, prompt }: Ending, { terminal, io }: Context): void {
  const divergence = config.model.init === undefined && prompt !== undefined;
  if (verdict !== undefined) terminal.print(`\n${verdictText(verdict, terminal, { divergence })}`);
  terminal.print(`\n${labelled(terminal, 'saved', saved)}`);
  if (prompt === undefined) return;
  terminal.print(`${terminal.color.dim('try it')}\n  ${command(tryIt(saved, config, prompt), io)}`);
}

/** What to type; npm, which started this one, finds a command that is not on the path. */
export const command = (argv: readonly string[], { env }: Io): string =>
  `${env.npm_command === undefined ? '' : 'npx '}kelpie ${argv.map(shellQuote).join(' ')}`;

export function tryIt(saved: string, { model, lora, output }: StartConfig, prompt: string): string[] {
  const peft = (lora.rank !== undefined || model.adapter !== undefined) && !output.merge;
  return [
    'generate',
    ...(peft ? ['--model', model.path!, '--adapter', saved] : ['--model', saved]),
    '--prompt',
    prompt,
  ];
}

/** The prompt of a row, or the first words of a text. */
function firstPrompt(example: Loaded | undefined): string {
  if (example === undefined) return 'Hello';
  return example.prompt !== '' ? example.prompt : (example.completion ?? '').split(' ').slice(0, 5).join(' ');
}

/** The first Ctrl-C finishes the step and keeps it, the second ends the process. */
export function interruptible({ io, terminal }: Context): { signal: AbortSignal; done: () => void } {
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
