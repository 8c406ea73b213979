import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { isDivergence, type Objective } from '@kelpie/objectives';
import { type LoraOptions, type OpenOptions, referenceOf } from '@kelpie/policy';
import { judgesSequences, requireResumable, requireUnlocked } from '@kelpie/runner';
import { calledOf } from './config/entry.js';
import type { Resolved } from './config/resolve.js';
import type { RunConfig, StartConfig } from './config/schema.js';
import { UsageError } from './exit.js';
import { requireFolder } from './model.js';

/** The rank of an adapter that is asked for without one, and its alpha. */
export const presetRank = 16;
export const alphaOf = ({ alpha, rank = presetRank }: StartConfig['lora']): number => alpha ?? 2 * rank;

/** Checks what can be checked before anything is opened. */
export function requireRun(
  { config, origins }: Resolved,
  { resume }: { readonly resume: boolean },
): { readonly data: readonly string[]; readonly out: string } {
  const { files } = config.data;
  requireStart(config, calledOf(origins));
  if (files === undefined) throw new UsageError('which rows? Name a file or more with `--data`');
  return { data: [files].flat(), out: requireOut({ config, origins }, resume) };
}

type Called = ReturnType<typeof calledOf>;

export function requireStart(
  { model: { path, init, adapter, reference }, lora, output: { merge } }: StartConfig,
  called: Called,
): void {
  const refuse = (key: string, flag: string, message: string) => {
    throw new UsageError(`${called(key, flag)}: ${message}`);
  };
  if (path === undefined && init === undefined) {
    throw new UsageError('what to train? Give a model folder with `--model`, or a config to start from with `--init`');
  }
  if (path !== undefined) requireWeights(path, called('model.path', '--model'));
  if (adapter !== undefined) requireFolder(adapter, called('model.adapter', '--adapter'));
  const named = reference === undefined ? [] : referenceOf([reference].flat());
  for (const folder of typeof named === 'string' ? [named] : named.map(({ model }) => model)) {
    requireFolder(folder, called('model.reference', '--reference'));
  }
  if (init !== undefined && !existsSync(init)) refuse('model.init', '--init', `there is no file \`${init}\``);
  const fresh = lora.rank !== undefined;
  if (init !== undefined && (fresh || adapter !== undefined)) {
    const [key, flag] = fresh ? ['lora.rank', '--lora'] : ['model.adapter', '--adapter'];
    refuse(key!, flag!, 'an adapter needs a trained base: give it with `--model`, not `--init`');
  }
  if (fresh && adapter !== undefined) {
    const message = 'either a fresh adapter (`--lora`) or one to go on training (`--adapter`), not both';
    refuse('model.adapter', '--adapter', message);
  }
  const only = [
    lora.alpha !== undefined && (['lora.alpha', '--lora-alpha'] as const),
    lora.rslora && (['lora.rslora', '--lora-rslora'] as const),
    lora.dora && (['lora.dora', '--dora'] as const),
    lora.targets !== undefined && (['lora.targets', '--lora-targets'] as const),
  ].find((given) => given !== false);
  if (!fresh && only !== undefined)
    refuse(only[0], only[1], 'goes with an adapter: give its rank, `--lora` or `lora.rank`');
  if (merge && !fresh && adapter === undefined) {
    refuse('output.merge', '--merge', 'goes with an adapter, `--lora` or `--adapter`: there is nothing else to merge');
  }
}

/** A config on its own is taken for a slip of the flag. */
function requireWeights(model: string, called: string): void {
  requireFolder(model, called);
  const files = readdirSync(model);
  if (!files.includes('config.json') || files.some((file) => /\.(safetensors|bin)/.test(file))) return;
  const config = join(model, 'config.json');
  throw new UsageError(
    `${called}: \`${model}\` has a config and no weights; to start from random ones: \`--init ${config}\``,
  );
}

/** The folder of a run. Nothing that is there is overwritten. */
export function requireOut({ config, origins }: Resolved<StartConfig>, resume: boolean): string {
  const { folder } = config.output;
  if (folder === undefined) throw new UsageError('where to? Name a folder for the run and its model with `--out`');
  requireFree(folder, calledOf(origins)('output.folder', '--out'), resume);
  return folder;
}

function requireFree(out: string, called: string, resume: boolean): void {
  if (!existsSync(out)) return;
  if (!statSync(out).isDirectory()) throw new UsageError(`${called}: \`${out}\` is a file: name a folder`);
  requireUnlocked(out);
  if (resume) {
    if (existsSync(join(out, 'run.json')) && !endedEarly(out))
      throw new UsageError(`the run in \`${out}\` is finished: its model is in \`${join(out, 'model')}\``);
    requireResumable(out);
    return;
  }
  if (readdirSync(out).length === 0) return;
  const has = (name: string) => existsSync(join(out, name));
  const also = has('checkpoints') ? ', or go on with `--resume`' : ', or begin that run again with `--resume`';
  const way = has('metrics.jsonl') && !has('run.json') ? also : '';
  throw new UsageError(`${called}: \`${out}\` is not empty, and nothing is overwritten: name another folder${way}`);
}

/** Whether a budget ended the run before its last step: with a larger one it goes on. */
function endedEarly(out: string): boolean {
  const { early } = JSON.parse(readFileSync(join(out, 'run.json'), 'utf8')) as { readonly early?: unknown };
  return early !== undefined && existsSync(join(out, 'checkpoints'));
}

/** Where the tokenizer is: its own folder, the model's, or that of the config to start from. */
export function tokenizerFolder({ model: { tokenizer, path, init } }: StartConfig): string {
  return tokenizer ?? path ?? dirname(init!);
}

export function openOptions(objective: Objective, config: RunConfig): OpenOptions {
  return {
    ...startOptions(config),
    ...(judgesSequences(objective.needs) && { scalarHead: 'alone' as const, scalarHeadSeed: config.training.seed }),
    keepReference: keepsReference(objective, config),
  };
}

/** What is trained, from where. */
export function startOptions({ model, lora, training: { seed } }: StartConfig): OpenOptions {
  const { path, init, adapter, threads, reference } = model;
  const { rank, rslora, dora, targets } = lora;
  const names = [targets ?? 'all-linear'].flat().flatMap((name) => name.split(','));
  const fresh: LoraOptions | undefined =
    rank === undefined
      ? undefined
      : {
          rank,
          alpha: alphaOf(lora),
          rslora,
          dora,
          targetModules: names.length === 1 && names[0] === 'all-linear' ? 'all-linear' : names,
          seed,
        };
  return {
    ...(path === undefined ? { init: { config: init!, seed } } : { model: path }),
    ...(fresh && { lora: fresh }),
    ...(adapter !== undefined && { adapter }),
    ...(reference !== undefined && { reference: referenceOf([reference].flat()) }),
    ...(threads !== undefined && { threads }),
  };
}

/** Where no other reference is named, the start is kept for the divergence of held-out rows, for scores that read its whole distribution, and to be moved. */
export function keepsReference(
  objective: Objective,
  { model, data, training, objective: { name: _, ...options } }: RunConfig,
): boolean | 'moving' {
  if (model.reference !== undefined) return false;
  if (training.syncReferenceEvery > 0) return 'moving';
  if (judgesSequences(objective.needs)) return false;
  const held = data.heldout !== undefined || data.heldoutFraction > 0;
  return held || objective.needsOf(options).policy.some(isDivergence);
}
