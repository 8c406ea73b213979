import { existsSync, statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { Option } from '@commander-js/extra-typings';
import { openTokenizer, type Tokenizer } from '@kelpie/policy';
import { UsageError } from './exit.js';
import { countFlag, unset } from './flags.js';

/** A model to read from, as flags name it. */
export interface ModelFlags {
  readonly model?: string;
  readonly adapter?: string;
  readonly tokenizer?: string;
  readonly threads?: number;
}

/** The folders a model is opened from. */
export interface ModelPlace {
  /** With config.json and the weights. */
  readonly model: string;
  /** A PEFT folder over it. */
  readonly adapter?: string;
  readonly tokenizer: string;
}

const modelGroup = 'Model:';

export function modelFlags(): Option[] {
  return [
    new Option('-m, --model <folder>', 'a Hugging Face model folder, or a PEFT folder that names its base'),
    new Option('--adapter <folder>', 'a PEFT folder on top of the model'),
    tokenizerFlag(),
    threadsFlag(),
  ].map((option) => option.helpGroup(modelGroup));
}

export function tokenizerFlag(): Option {
  return unset(new Option('--tokenizer <folder>', 'where the tokenizer is'), "the model's folder").helpGroup(
    modelGroup,
  );
}

export function threadsFlag(): Option {
  return unset(countFlag('--threads <n>', 'threads of the arithmetic'), 'one a core').helpGroup(modelGroup);
}

/** More threads than cores wait for each other. */
export function threadWarnings(threads: number | undefined, cores = availableParallelism()): string[] {
  if (threads === undefined || threads <= cores) return [];
  return [`${threads} threads on ${cores === 1 ? 'one core' : `${cores} cores`} are slower than ${cores}`];
}

const has = (folder: string, file: string) => existsSync(join(folder, file));

export function requireFolder(folder: string, flag: string): void {
  const found = statSync(folder, { throwIfNoEntry: false });
  if (found === undefined) throw new UsageError(`${flag}: there is no folder \`${folder}\``);
  if (!found.isDirectory()) throw new UsageError(`${flag}: expected a folder, but \`${folder}\` is a file`);
}

/** Where model, adapter and tokenizer are, when a PEFT folder may stand for the first two. */
export async function locate({ model, adapter, tokenizer }: ModelFlags): Promise<ModelPlace> {
  if (model === undefined && adapter === undefined) {
    throw new UsageError('which model? Give a model folder with `--model`, or a PEFT folder with `--adapter`');
  }
  if (model !== undefined) requireFolder(model, '--model');
  if (adapter !== undefined) requireFolder(adapter, '--adapter');
  if (model !== undefined && has(model, 'adapter_config.json') && !has(model, 'config.json')) {
    if (adapter !== undefined) {
      throw new UsageError(
        `both \`${model}\` and \`${adapter}\` are PEFT folders: give the base with \`--model\` and one adapter`,
      );
    }
    return locate({ adapter: model, ...(tokenizer !== undefined && { tokenizer }) });
  }
  const base = model ?? (await baseOf(adapter!));
  return {
    model: base,
    ...(adapter !== undefined && { adapter }),
    tokenizer:
      tokenizer ?? [adapter, base].find((folder) => folder !== undefined && has(folder, 'tokenizer.json')) ?? base,
  };
}

/** The base that a PEFT folder names, seen from here or from beside the folder. */
async function baseOf(adapter: string): Promise<string> {
  const file = join(adapter, 'adapter_config.json');
  const text = await readFile(file, 'utf8').catch(() => undefined);
  if (text === undefined)
    throw new UsageError(`--adapter: \`${adapter}\` has no adapter_config.json, so it is no PEFT folder`);
  const base = baseIn(text, file);
  const advice = 'give the folder of its base with `--model`';
  if (typeof base !== 'string' || base === '')
    throw new UsageError(`the adapter in \`${adapter}\` does not name its base: ${advice}`);
  const found = [base, resolve(adapter, base), resolve(dirname(resolve(adapter)), base)].find((folder) =>
    has(folder, 'config.json'),
  );
  if (found === undefined)
    throw new UsageError(
      `the adapter in \`${adapter}\` names its base \`${base}\`, which is no model folder here: ${advice}`,
    );
  return found;
}

function baseIn(text: string, file: string): unknown {
  try {
    return (JSON.parse(text) as { base_model_name_or_path?: unknown } | null)?.base_model_name_or_path;
  } catch (cause) {
    throw new UsageError(`\`${file}\` is not JSON: ${(cause as Error).message}`);
  }
}

export async function tokenizerAt(folder: string): Promise<Tokenizer> {
  requireFolder(folder, '--tokenizer');
  if (!has(folder, 'tokenizer.json')) {
    throw new UsageError(
      `there is no tokenizer.json in \`${folder}\`: name a folder that has one with \`--tokenizer\``,
    );
  }
  return openTokenizer(folder);
}

/** What the model wrote, as text: decoded behind its prompt, so that spaces at the boundary stay. */
export function completionText(tokenizer: Tokenizer, prompt: readonly number[], ids: readonly number[]): string {
  const options = { skipSpecialTokens: true };
  const before = tokenizer.decode(prompt, options);
  const whole = tokenizer.decode([...prompt, ...ids], options);
  return whole.startsWith(before) ? whole.slice(before.length) : tokenizer.decode(ids, options);
}
