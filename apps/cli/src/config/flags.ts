import { nestsTooDeep } from '@kelpie/data';
import type { Objective } from '@kelpie/objectives';
import { atMostLevels } from '@kelpie/policy';
import { onlineOptions, trainOptions } from '@kelpie/runner';
import { parse } from 'yaml';
import { UsageError } from '../exit.js';
import { isOnline } from '../online/objectives.js';
import type { Entry, Origin } from './entry.js';
import { tooDeepAt } from './levels.js';
import type { Layer } from './read.js';
import { isLoopOption } from './schema.js';

/** Flags whose names are not those of their keys, and the places of those keys. */
const places: Readonly<Record<string, readonly [section: string, key: string]>> = {
  model: ['model', 'path'],
  init: ['model', 'init'],
  adapter: ['model', 'adapter'],
  reference: ['model', 'reference'],
  tokenizer: ['model', 'tokenizer'],
  threads: ['model', 'threads'],
  lora: ['lora', 'rank'],
  loraAlpha: ['lora', 'alpha'],
  loraRslora: ['lora', 'rslora'],
  loraTargets: ['lora', 'targets'],
  dora: ['lora', 'dora'],
  data: ['data', 'files'],
  heldout: ['data', 'heldout'],
  heldoutFraction: ['data', 'heldoutFraction'],
  format: ['data', 'format'],
  columns: ['data', 'columns'],
  onBadRow: ['data', 'onBadRow'],
  truncation: ['data', 'truncation'],
  maxLength: ['data', 'maxLength'],
  scoreFrom: ['data', 'scoreFrom'],
  score: ['data', 'score'],
  side: ['data', 'side'],
  selfCheck: ['training', 'selfCheck'],
  out: ['output', 'folder'],
  merge: ['output', 'merge'],
};

/** The same where completions are drawn. */
const onlinePlaces: typeof places = {
  ...places,
  prompts: ['online', 'prompts'],
  heldoutPrompts: ['online', 'heldoutPrompts'],
  heldoutFraction: ['online', 'heldoutFraction'],
  promptField: ['online', 'promptField'],
  reward: ['online', 'rewards'],
  watch: ['online', 'watch'],
  critic: ['online', 'critic'],
  engineUrl: ['online', 'engineUrl'],
  engineModel: ['online', 'engineModel'],
  engineHandover: ['online', 'engineHandover'],
};

const placesOf = (objective: Objective) => (isOnline(objective) ? onlinePlaces : places);
const loopOf = (objective: Objective) => (isOnline(objective) ? onlineOptions : trainOptions).shape;

/** Flags that are about this one call, and no keys of a config. */
const calls = new Set(['config', 'set', 'dryRun', 'resume', 'debug', 'help']);

/** Whether an option of an objective has the name of a flag that is there anyway: its own flag is then another. */
export function clashes(option: string, objective: Objective): boolean {
  return option in loopOf(objective) || Object.hasOwn(placesOf(objective), option) || calls.has(option);
}

/** Where the value of a flag belongs. `undefined`: it is none of the config's. */
export function placeOf(attribute: string, objective: Objective): readonly [section: string, key: string] | undefined {
  if (calls.has(attribute)) return undefined;
  const prefix = `${objective.name}-`.replace(/-(.)?/g, (_, letter?: string) => letter?.toUpperCase() ?? '');
  const own = objective.describeOptions().find(({ name }) => {
    return clashes(name, objective)
      ? attribute === `${prefix}${name[0]!.toUpperCase()}${name.slice(1)}`
      : attribute === name;
  });
  if (own !== undefined) return ['objective', own.name];
  const place = placesOf(objective)[attribute];
  if (place !== undefined) return place;
  if (!(attribute in loopOf(objective))) return undefined;
  return [isLoopOption(attribute) ? 'training' : 'online', attribute];
}

/** What the command line says, each value with the flag that says it. */
export function flagLayer(
  given: readonly { readonly attribute: string; readonly flag: string; readonly value: unknown }[],
  objective: Objective,
): Layer {
  return given.flatMap(({ attribute, flag, value }): Entry[] => {
    const path = placeOf(attribute, objective);
    const origin = { kind: 'flag', flag } as const;
    if (path === undefined) return [];
    if (attribute !== 'columns') return [{ path, value: value === true && attribute === 'lora' ? 16 : value, origin }];
    return (value as string[]).map((pair) => columnEntry(pair, path, origin));
  });
}

function columnEntry(pair: string, path: readonly string[], origin: Origin): Entry {
  const at = pair.indexOf('=');
  if (at < 1 || at === pair.length - 1)
    throw new UsageError(`--columns: expected \`name=column\`, for instance \`prompt=question\`, got \`${pair}\``);
  return { path: [...path, pair.slice(0, at)], value: pair.slice(at + 1), origin };
}

/** `--set a.b=c`: the value as YAML would read it. */
export function setLayer(sets: readonly string[]): Layer {
  return sets.map((text) => {
    const at = text.indexOf('=');
    const path = text.slice(0, Math.max(0, at)).trim().split('.');
    if (at < 1 || path.some((key) => key === ''))
      throw new UsageError(
        `--set: expected \`key=value\`, for instance \`training.learningRate=1e-5\`, got \`${text}\``,
      );
    return { path, value: yamlValue(text.slice(at + 1), text), origin: { kind: 'set', text } as const };
  });
}

function yamlValue(text: string, whole: string): unknown {
  const refuse = (why: string, options?: ErrorOptions) =>
    new UsageError(`--set: cannot read the value of \`${excerpt(whole)}\` as YAML: ${why}`, options);
  if (tooDeepAt(text) !== undefined) throw refuse(`expected ${atMostLevels}`);
  let value: unknown;
  try {
    value = parse(text, { logLevel: 'error', prettyErrors: false, maxAliasCount: 0 });
  } catch (error) {
    throw refuse((error as Error).message, { cause: error });
  }
  // A list that has itself as an item.
  if (nestsTooDeep(value)) throw refuse(`expected ${atMostLevels}`);
  return value;
}

const excerpt = (text: string): string => (text.length > 200 ? `${text.slice(0, 200)}…` : text);
