import { Command, Option } from '@commander-js/extra-typings';
import type { Objective } from '@kelpie/objectives';
import { onlineOptions } from '@kelpie/runner';
import { clashes } from '../config/flags.js';
import { resolveConfig } from '../config/resolve.js';
import type { OnlineConfig } from '../config/schema.js';
import type { Context } from '../context.js';
import { flagsOf, kebab, numberFlag, unset } from '../flags.js';
import { type CallFlags, configFlags, layersOf, loraFlags, selfCheckFlag, startFlags } from '../run-flags.js';
import { dryRunOnline } from './dry-run.js';
import { engineFlags } from './engine.js';
import { onlineObjectives } from './objectives.js';
import { rewardSources } from './reward-types.js';
import { runOnline } from './run.js';

/** `kelpie train grpo --prompts FILE --reward RULE`: a command for each objective on fresh completions. */
export function addOnline(train: Command, context: Context): void {
  for (const objective of onlineObjectives()) train.addCommand(onlineWith(objective, context));
}

function onlineWith(objective: Objective, context: Context): Command {
  const clash = Object.keys(objective.options.shape).filter((name) => clashes(name, objective));
  const rename = Object.fromEntries(clash.map((name) => [name, `${objective.name}-${kebab(name)}`]));
  const own = flagsOf(objective.options, { group: `Options of ${objective.name}:`, rename });
  const loop = flagsOf(onlineOptions, { group: 'Training:' });
  const made = new Command(objective.name)
    .summary(`${objective.title.toLowerCase()}; on fresh completions`)
    .description(`${objective.title}. ${objective.summary}\n${objective.paper}`)
    .usage('--prompts <file...> --reward <reward...> --model <folder> --out <folder> [options]')
    .addHelpText('after', help(objective.name));
  const all = [
    ...own.flags,
    ...configFlags('memory and two prompts'),
    ...promptFlags(),
    ...rewardFlags(),
    ...startFlags(),
    unset(
      new Option('--critic <folder>', 'a value function apart: a reward model, or a base to begin at 0'),
      'a head beside, where the objective fits values',
    ).helpGroup('Model:'),
    ...loraFlags(),
    ...engineFlags(),
    ...loop.flags,
    selfCheckFlag(),
  ];
  for (const option of all) made.addOption(option);
  made.action(async (parsed) => {
    const { dryRun, resume = false } = parsed as unknown as CallFlags;
    const layers = layersOf(made as unknown as Command, objective, context);
    const resolved = resolveConfig<OnlineConfig>(objective, layers);
    await (dryRun ? dryRunOnline : runOnline)(objective, resolved, { resume }, context);
  });
  return made as unknown as Command;
}

function help(name: string): string {
  const sources = [...rewardSources().values()].map((source) => `  ${source.name.padEnd(20)} ${source.summary}`);
  return `
Rewards, with their options as in \`length:target=20,weight=0.5\`; or a file that exports a function of a row, or JSON as a
config has it, \`{"type":"clipped","high":1,"of":{"type":"length"}}\`:
${sources.join('\n')}

Examples:
  kelpie train ${name} --model base --prompts prompts.jsonl --reward length:target=20 --out tuned
  kelpie train ${name} --model base --prompts prompts.jsonl --reward reward-model:path=judge --watch ./mine.ts --out tuned
  kelpie train --config run.yaml --dry-run`;
}

function promptFlags(): Option[] {
  const share = numberFlag('--heldout-fraction <n>', 'prompts held out: a share below 1, a number from 1', {
    minimum: 0,
  }).default(0.1);
  return [
    new Option('-p, --prompts <file...>', 'rows with a prompt; .jsonl or .json, also .gz'),
    unset(new Option('--heldout-prompts <file...>', 'prompts to evaluate on'), 'a share of the prompts'),
    share as unknown as Option,
    new Option('--prompt-field <name>', 'the field that holds the prompt').default('prompt') as unknown as Option,
  ].map((option) => option.helpGroup('Data:'));
}

function rewardFlags(): Option[] {
  return [
    new Option('-r, --reward <reward...>', 'what is optimised: their weighted sum'),
    new Option('--watch <reward...>', 'measured and logged, not optimised'),
  ].map((option) => option.helpGroup('Rewards:'));
}
