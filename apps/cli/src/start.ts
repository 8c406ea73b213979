import { existsSync, readdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Objective } from '@kelpie/objectives';
import type { LoraOptions, OpenOptions } from '@kelpie/policy';
import { requireResumable } from '@kelpie/runner';
import type { RunConfig } from './config/schema.js';
import { UsageError } from './exit.js';
import { requireFolder } from './model.js';

/** The rank of an adapter that is asked for without one, and its alpha. */
export const presetRank = 16;
export const alphaOf = ({ alpha, rank = presetRank }: RunConfig['lora']): number => alpha ?? 2 * rank;

/** Checks what can be checked before anything is opened. */
export function requireRun(
  config: RunConfig,
  { resume }: { readonly resume: boolean },
): { readonly data: readonly string[]; readonly out: string } {
  const { files } = config.data;
  const out = config.output.folder;
  requireStart(config);
  if (files === undefined) throw new UsageError('which rows? Name a file or more with `--data`');
  if (out === undefined) throw new UsageError('where to? Name a folder for the run and its model with `--out`');
  requireOut(out, resume);
  return { data: [files].flat(), out };
}

function requireStart({ model: { path, init, adapter }, lora, output: { merge } }: RunConfig): void {
  if (path === undefined && init === undefined) {
    throw new UsageError('what to train? Give a model folder with `--model`, or a config to start from with `--init`');
  }
  if (path !== undefined) requireWeights(path);
  if (adapter !== undefined) requireFolder(adapter, '--adapter');
  if (init !== undefined && !existsSync(init)) throw new UsageError(`--init: there is no file \`${init}\``);
  if (init !== undefined && (lora.rank !== undefined || adapter !== undefined)) {
    throw new UsageError('an adapter needs a trained base: give it with `--model`, not `--init`');
  }
  if (lora.rank !== undefined && adapter !== undefined) {
    throw new UsageError('either a fresh adapter (`--lora`) or one to go on training (`--adapter`), not both');
  }
  const only = [
    lora.alpha !== undefined && '--lora-alpha',
    lora.rslora && '--lora-rslora',
    lora.targets !== undefined && '--lora-targets',
  ].find((flag) => flag !== false);
  if (lora.rank === undefined && only !== undefined) throw new UsageError(`\`${only}\` goes with \`--lora\``);
  if (merge && lora.rank === undefined && adapter === undefined)
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
  if (!statSync(out).isDirectory()) throw new UsageError(`--out: \`${out}\` is a file: name a folder`);
  if (resume) {
    if (existsSync(join(out, 'run.json')))
      throw new UsageError(`the run in \`${out}\` is finished: its model is in \`${join(out, 'model')}\``);
    requireResumable(out);
    return;
  }
  if (readdirSync(out).length === 0) return;
  const has = (name: string) => existsSync(join(out, name));
  const also = has('checkpoints') ? ', or go on with `--resume`' : ', or begin that run again with `--resume`';
  const way = has('metrics.jsonl') && !has('run.json') ? also : '';
  throw new UsageError(`--out: \`${out}\` is not empty, and nothing is overwritten: name another folder${way}`);
}

/** Where the tokenizer is: its own folder, the model's, or that of the config to start from. */
export function tokenizerFolder({ model: { tokenizer, path, init } }: RunConfig): string {
  return tokenizer ?? path ?? dirname(init!);
}

export function openOptions(objective: Objective, config: RunConfig): OpenOptions {
  const { model, lora } = config;
  const { seed } = config.training;
  const { path, init, adapter, threads } = model;
  const { rank, rslora, targets } = lora;
  const names = [targets ?? 'all-linear'].flat().flatMap((name) => name.split(','));
  const fresh: LoraOptions | undefined =
    rank === undefined
      ? undefined
      : {
          rank,
          alpha: alphaOf(lora),
          rslora,
          targetModules: names.length === 1 && names[0] === 'all-linear' ? 'all-linear' : names,
          seed,
        };
  return {
    ...(path === undefined ? { init: { config: init!, seed } } : { model: path }),
    ...(fresh && { lora: fresh }),
    ...(adapter !== undefined && { adapter }),
    ...(threads !== undefined && { threads }),
    keepReference: keepsReference(objective, config),
  };
}

/** The start is kept for the divergence of held-out rows, and for scores that read its whole distribution. */
export function keepsReference(objective: Objective, { data, objective: { name: _, ...options } }: RunConfig): boolean {
  const held = data.heldout !== undefined || data.heldoutFraction > 0;
  return held || objective.needsOf(options).policy.some((score) => /Kl$/.test(score));
}
