import { type Command, Option } from '@commander-js/extra-typings';
import type { Objective } from '@kelpie/objectives';
import { flagLayer, setLayer } from './config/flags.js';
import type { Layer } from './config/read.js';
import type { Context } from './context.js';
import { countFlag, numberFlag, unset } from './flags.js';
import { threadsFlag, tokenizerFlag } from './model.js';

/** What is said of one call, and stands in no config. */
export interface CallFlags {
  readonly config?: readonly string[];
  readonly set?: readonly string[];
  readonly dryRun?: boolean;
  readonly resume?: boolean;
}

/** All that a command line says of a run: its files, the weakest first, then its flags, then `--set`. */
export function layersOf(command: Command, objective: Objective, { readConfig }: Pick<Context, 'readConfig'>): Layer[] {
  const parsed = command.opts() as Readonly<Record<string, unknown>> & CallFlags;
  const given = command.options.flatMap((option) => {
    const attribute = option.attributeName();
    const isGiven = command.getOptionValueSource(attribute) === 'cli';
    return isGiven ? [{ attribute, flag: option.long!, value: parsed[attribute] }] : [];
  });
  return [...(parsed.config ?? []).flatMap(readConfig), flagLayer(given, objective), setLayer(parsed.set ?? [])];
}

/** @param shown what a dry run shows besides the config */
export function configFlags(shown = 'tokens, memory and two rows'): Option[] {
  return [
    new Option('-c, --config <file...>', 'values from YAML; later files win, and what is said here wins over all'),
    new Option('--set <key=value...>', 'a value by its place in the config: training.learningRate=1e-5'),
    new Option('--dry-run', `shows config, ${shown}, and stops`),
  ].map((option) => option.helpGroup('Config:'));
}

export function startFlags(): Option[] {
  return [
    new Option('-m, --model <folder>', 'a Hugging Face model folder to start from').conflicts('init'),
    new Option('--init <config.json>', 'or the config of a model to start from random weights'),
    unset(
      new Option('--reference <folder...>', 'what the policy is held to; several, as one=0.5 two=0.5, for their mean'),
      'its start',
    ),
    new Option('-o, --out <folder>', 'where the run and its model go'),
    new Option('--resume', 'goes on from the newest checkpoint in --out'),
    tokenizerFlag(),
    threadsFlag(),
  ].map((option) => option.helpGroup('Model:'));
}

export function loraFlags(): Option[] {
  const alpha = numberFlag('--lora-alpha <n>', 'scales the adapter by alpha / rank', { exclusiveMinimum: 0 });
  return [
    countFlag('--lora [rank]', 'trains a low-rank adapter instead of the weights, of rank 16 if not told').preset('16'),
    unset(alpha, 'twice the rank'),
    new Option('--lora-rslora', 'scales it by alpha / sqrt(rank)'),
    new Option('--dora', 'trains the magnitudes of its rows apart from their directions'),
    unset(new Option('--lora-targets <names>', 'layers that get one: q_proj,v_proj'), 'all-linear, all but the head'),
    new Option('--adapter <folder>', 'a PEFT folder to go on training').conflicts('lora'),
    new Option('--merge', 'saves the whole model with the adapter merged in, not a PEFT folder'),
  ].map((option) => option.helpGroup('LoRA:'));
}

export function selfCheckFlag(): Option {
  const text = 'turns off: a few identities are checked before the first step';
  return new Option('--no-self-check', text).helpGroup('Training:');
}
