import { join } from 'node:path';
import { Command, Option } from '@commander-js/extra-typings';
import type { Objective } from '@kelpie/objectives';
import { openPolicy } from '@kelpie/policy';
import {
  holdOut,
  jsonl,
  type OnlineOptionsInput,
  type OnlineResult,
  onlineOptions,
  rollouts,
  timing,
  trainOnline,
} from '@kelpie/runner';
import { command, interruptible, sayHowToGoOn } from '../commands/train.js';
import type { Context } from '../context.js';
import { UsageError } from '../exit.js';
import { flagsOf, kebab, unset } from '../flags.js';
import { threadsFlag, tokenizerAt, tokenizerFlag } from '../model.js';
import { grouped, many } from '../print.js';
import { labelled, Progress } from '../progress.js';
import { requireOut, requireWeights } from '../start.js';
import { verdictText } from '../verdict.js';
import { onlineObjectives } from './objectives.js';
import { loadPrompts } from './prompts.js';
import { openReward, rewardSources } from './rewards.js';

interface Flags {
  readonly model?: string;
  readonly out?: string;
  readonly prompts?: readonly string[];
  readonly heldoutPrompts?: readonly string[];
  readonly heldoutFraction: number;
  readonly promptField: string;
  readonly reward?: readonly string[];
  readonly watch?: readonly string[];
  readonly tokenizer?: string;
  readonly threads?: number;
  readonly resume?: boolean;
  readonly selfCheck: boolean;
}

/** `kelpie train grpo --prompts FILE --reward RULE`: a command for each objective on fresh completions. */
export function addOnline(train: Command, context: Context): void {
  for (const objective of onlineObjectives()) train.addCommand(onlineWith(objective, context));
}

function onlineWith(objective: Objective, context: Context): Command {
  const loop = flagsOf(onlineOptions, { group: 'Training:' });
  const taken = new Set([...Object.keys(onlineOptions.shape), 'reward', 'model', 'out']);
  const clash = Object.keys(objective.options.shape).filter((name) => taken.has(name));
  const rename = Object.fromEntries(clash.map((name) => [name, `${objective.name}-${kebab(name)}`]));
  const own = flagsOf(objective.options, { group: `Options of ${objective.name}:`, rename });
  const made = new Command(objective.name)
    .summary(`${objective.title.toLowerCase()}; on fresh completions`)
    .description(`${objective.title}. ${objective.summary}\n${objective.paper}`)
    .usage('--prompts <file...> --reward <reward...> --model <folder> --out <folder> [options]')
    .addHelpText('after', help(objective.name));
  for (const option of [...own.flags, ...fileFlags(), ...loop.flags]) made.addOption(option);
  made.action(async (parsed) => {
    const flags = parsed as unknown as Flags & Record<string, unknown>;
    await run(objective, flags, { objectiveOptions: own.pick(flags), options: loop.pick(flags) }, context);
  });
  return made as unknown as Command;
}

function help(name: string): string {
  const sources = [...rewardSources().values()].map((source) => `  ${source.name.padEnd(20)} ${source.summary}`);
  return `
Rewards, with their options as in \`length:target=20,weight=0.5\`; or a file that exports a function of a row:
${sources.join('\n')}

Examples:
  kelpie train ${name} --model base --prompts prompts.jsonl --reward length:target=20 --out tuned
  kelpie train ${name} --model base --prompts prompts.jsonl --reward ./mine.ts --watch repetition --out tuned`;
}

function fileFlags(): Option[] {
  const model = [
    new Option('-m, --model <folder>', 'a Hugging Face model folder to start from'),
    new Option('-o, --out <folder>', 'where the run and its model go'),
    new Option('--resume', 'goes on from the newest checkpoint in --out'),
    new Option('--no-self-check', 'turns off: a few identities are checked before the first update'),
    tokenizerFlag(),
    threadsFlag(),
  ];
  const data = [
    new Option('-p, --prompts <file...>', 'rows with a prompt; .jsonl or .json, also .gz'),
    unset(new Option('--heldout-prompts <file...>', 'prompts to evaluate on'), 'a share of the prompts'),
    new Option('--heldout-fraction <n>', 'share of the prompts that is held out, below 1')
      .argParser(Number)
      .default(0.1),
    new Option('--prompt-field <name>', 'the field that holds the prompt').default('prompt'),
  ];
  const rewards = [
    new Option('-r, --reward <reward...>', 'what is optimised: their weighted sum'),
    new Option('--watch <reward...>', 'measured and logged, not optimised'),
  ];
  return [
    ...model.map((option) => option.helpGroup('Model:')),
    ...data.map((option) => option.helpGroup('Data:')),
    ...rewards.map((option) => option.helpGroup('Rewards:')),
  ];
}

interface Chosen {
  readonly objectiveOptions: Record<string, unknown>;
  readonly options: Record<string, unknown>;
}

async function run(objective: Objective, flags: Flags, { objectiveOptions, options }: Chosen, context: Context) {
  const { terminal } = context;
  const { model, out, files } = required(flags);
  requireOut(out, '--out', flags.resume === true);
  const rewards = await Promise.all((flags.reward ?? []).map(openReward));
  const watched = await Promise.all((flags.watch ?? []).map(openReward));
  const parsed = onlineOptions.parse(options);
  const tokenizer = await tokenizerAt(flags.tokenizer ?? model);
  const moving = parsed.syncReferenceEvery > 0;
  const { threads } = flags;
  await using policy = await openPolicy({
    model,
    keepReference: moving ? 'moving' : true,
    ...(threads !== undefined && { threads }),
  });
  const { contextLength, parameters, modelType } = policy.info;
  const source = {
    tokenizer,
    field: flags.promptField,
    room: Math.min(parsed.maxNewTokens, contextLength / 2),
    contextLength,
  };
  const all = await loadPrompts({ ...source, files });
  const split = flags.heldoutPrompts
    ? { train: all, heldout: await loadPrompts({ ...source, files: flags.heldoutPrompts }) }
    : holdOut(all, { heldout: all.length > 1 ? flags.heldoutFraction : 0, seed: parsed.seed });
  terminal.print(`${terminal.color.bold(`kelpie train ${objective.name}`)}  ${objective.title}`);
  terminal.print(labelled(terminal, 'model', `${model}\n${modelType}, ${grouped(parameters)} parameters`));
  terminal.print(labelled(terminal, 'data', many(all.length, 'prompt')));
  terminal.warn([...policy.info.warnings]);
  const stopping = interruptible(context);
  const logs = [
    jsonl(join(out, 'metrics.jsonl')),
    timing(join(out, 'timing.jsonl')),
    ...(parsed.keepRollouts ? [rollouts(join(out, 'rollouts.jsonl'))] : []),
  ];
  let result: OnlineResult;
  try {
    result = await trainOnline({
      policy,
      objective,
      objectiveOptions,
      prompts: split.train,
      heldout: split.heldout,
      rewards,
      watched: watched.map(({ reward }) => reward),
      options: options as OnlineOptionsInput,
      outFolder: out,
      resume: flags.resume === true,
      signal: stopping.signal,
      loggers: [...logs, new Progress(terminal, { divergence: true })],
      tokenizer,
      save: { tokenizer: tokenizer.folder },
      ...(!flags.selfCheck && { selfCheckTolerance: false as const }),
    });
  } finally {
    terminal.status('');
    stopping.done();
    await Promise.all([...rewards, ...watched].map(({ reward }) => reward.dispose()));
  }
  if (result.stopped) sayHowToGoOn(result, context);
  else conclude(result, { saved: join(out, 'model'), prompt: split.train[0]?.prompt ?? '' }, context);
}

const endings = { divergence: '`--max-divergence`', time: '`--max-minutes`' } as const;

function conclude(
  { verdict, early, step, steps }: OnlineResult,
  { saved, prompt }: { readonly saved: string; readonly prompt: string },
  { terminal, io }: Context,
): void {
  if (early !== undefined)
    terminal.print(`\nended after step ${step} of ${steps}: the budget ${endings[early]} is spent`);
  if (verdict !== undefined) terminal.print(`\n${verdictText(verdict, terminal, { divergence: true })}`);
  terminal.print(`\n${labelled(terminal, 'saved', saved)}`);
  const again = ['generate', '--model', saved, '--prompt', prompt];
  terminal.print(`${terminal.color.dim('try it')}\n  ${command(again, io)}`);
}

function required({ model, out, prompts, reward }: Flags) {
  if (model === undefined) throw new UsageError('what to train? Give a model folder with `--model`');
  requireWeights(model, '--model');
  if (prompts === undefined) throw new UsageError('which prompts? Name a file or more with `--prompts`');
  if (reward === undefined) throw new UsageError('what is good? Name a reward or more with `--reward`');
  if (out === undefined) throw new UsageError('where to? Name a folder for the run and its model with `--out`');
  return { model, out, files: prompts };
}
