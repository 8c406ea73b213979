import type { Objective } from '@kelpie/objectives';
import { nearestNames } from '@kelpie/policy';
import { z } from 'zod';
import { calledName, isCalled, isObjectiveFile } from '../custom-objective.js';
import { UsageError } from '../exit.js';
import { expected, type Property } from '../flags.js';
import { type ConfigProblem, type Entry, type Origin, originText, pathText, quoted } from './entry.js';
import { type Layer, listOf } from './read.js';
import { configSchema, keysOf, type OnlineConfig, type RunConfig, sectionPaths, trainable } from './schema.js';

/** A checked config, and where each of its values comes from. */
export interface Resolved<Config = RunConfig> {
  readonly config: Config;
  readonly origins: ReadonlyMap<string, Origin>;
}

/** Either one or the other: what a later layer says replaces the other one of an earlier layer. */
const alternatives = [
  ['model.path', 'model.init'],
  ['data.heldout', 'data.heldoutFraction'],
  ['online.heldoutPrompts', 'online.heldoutFraction'],
] as const;

/** The objective that layers name, the later ones first. */
export function objectiveNamed(layers: readonly Layer[]): Entry | undefined {
  return layers.flat().findLast(({ path }) => pathText(path) === 'objective.name');
}

/** The objective of a run that names it in its config, the last of which is `by`. */
export function requireObjective(layers: readonly Layer[], by: string | undefined): string {
  const entry = objectiveNamed(layers);
  const names = trainable().map(({ name }) => name);
  if (entry === undefined) {
    const example = names.includes('dpo') ? 'dpo' : names[0]!;
    const none = by === undefined ? `name one behind \`train\`` : `\`${by}\` names none`;
    const ways = by === undefined ? `kelpie train ${example} ...` : `kelpie train ${example} --config ${by}`;
    throw new UsageError(
      `which objective? ${none}: say \`${ways}\`, or write \`objective:\` with \`name: ${example}\` below it in a config (\`kelpie objectives\` lists them)`,
    );
  }
  const { value, origin } = entry;
  if (names.includes(value as string) || isObjectiveFile(String(value))) return value as string;
  const near = nearestNames(String(value), names);
  throw new UsageError(
    `${originText(origin)}: \`objective.name\`: there is no objective \`${value}\`${near.length === 0 ? '' : `; nearest: ${quoted(near)}`}`,
  );
}

/** Layers, the weakest first, as one config with every default filled in. Throws a `UsageError` that lists all faults. */
export function resolveConfig<Config extends RunConfig | OnlineConfig = RunConfig>(
  objective: Objective,
  layers: readonly Layer[],
): Resolved<Config> {
  const problems = layers.flat().flatMap((entry) => unknownKey(entry, objective));
  const merged = new Map<string, Entry>();
  for (const layer of layers) {
    problems.push(...bothOf(layer));
    for (const entry of layer) put(merged, entry);
  }
  problems.push(...otherObjective(merged.get('objective.name'), objective));
  if (problems.length > 0) throw new UsageError(listOf(problems));
  merged.set('objective.name', {
    path: ['objective', 'name'],
    value: calledName(objective),
    origin: merged.get('objective.name')?.origin ?? { kind: 'flag', flag: `train ${calledName(objective)}` },
  });
  const schema = configSchema(objective);
  const parsed = schema.safeParse(nested([...merged.values()]));
  if (!parsed.success)
    throw new UsageError(listOf(inOrder(parsed.error.issues.map((issue) => invalid(issue, merged, schema)))));
  const config = parsed.data as unknown as Config;
  return { config, origins: originsOf(config, merged, objective) };
}

/** The command is that of one objective, so a config of another one is meant for another command. */
function otherObjective(named: Entry | undefined, objective: Objective): ConfigProblem[] {
  if (named === undefined || isCalled(named.value, objective)) return [];
  const { value, origin } = named;
  const message = `\`objective.name\`: ${shown(value)} here, but the command is \`train ${calledName(objective)}\`: say the same in both, or leave it to the config: \`kelpie train --config ...\``;
  return [{ origin, message }];
}

function put(merged: Map<string, Entry>, entry: Entry): void {
  const key = pathText(entry.path);
  for (const pair of alternatives) if (pair.some((one) => one === key)) for (const one of pair) merged.delete(one);
  merged.set(key, entry);
}

function bothOf(layer: Layer): ConfigProblem[] {
  return alternatives.flatMap(([one, other]) => {
    const [first, second] = [one, other].map((key) => layer.find(({ path }) => pathText(path) === key));
    if (first === undefined || second === undefined) return [];
    if (second.origin.kind === 'flag' && first.origin.kind === 'flag') {
      return [{ origin: second.origin, message: `not together with ${first.origin.flag}: give one of the two` }];
    }
    return [{ origin: second.origin, message: `\`${other}\`: not together with \`${one}\`: give one of the two` }];
  });
}

function unknownKey({ path, origin }: Entry, objective: Objective): ConfigProblem[] {
  const keys = keysOf(objective);
  const [section = '', key, deeper] = path;
  const own = keys.get(section);
  const told = pathText(path);
  const problem = (message: string) => [{ origin, message: `\`${told}\`: ${message}` }];
  if (own === undefined) {
    const others = trainable().filter((other) => keysOf(other).has(section));
    if (others.length > 0) {
      const rows = keys.has('data') ? 'data' : 'online';
      const instead = key === undefined ? `; nearest: \`${rows}\`` : near(key, rows, keys);
      return problem(`the objective \`${objective.name}\` does not use it, ${only(others)}${instead}`);
    }
    const inside = samePlaces(section, keys);
    return problem(
      `unknown key; nearest: ${quoted(inside.length > 0 ? inside : nearestNames(section, [...keys.keys(), 'extends']))}`,
    );
  }
  if (key === undefined) return problem(`expected keys below it: ${quoted(own)}`);
  if (own.includes(key)) {
    return deeper === undefined || (path.length === 3 && sectionPaths.has(`${section}.${key}`))
      ? []
      : problem(`\`${section}.${key}\` has no keys below it`);
  }
  const nearest = near(key, section, keys);
  const users = trainable().filter((other) => keysOf(other).get(section)?.includes(key));
  if (users.length > 0) return problem(`the objective \`${objective.name}\` does not use it, ${only(users)}${nearest}`);
  return problem(`unknown key${nearest}`);
}

const shownUsers = 12;

function only(users: readonly Objective[]): string {
  const more = users.length > shownUsers ? ` and ${users.length - shownUsers} more` : '';
  return `only ${quoted(users.slice(0, shownUsers).map(({ name }) => name))}${more}`;
}

/** What others call our keys, and objectives of the other kind: those on rows, those on fresh completions. */
const otherNames: Readonly<Record<string, string | readonly string[]>> = {
  lr: 'training.learningRate',
  numtrainepochs: 'training.epochs',
  perdevicetrainbatchsize: 'training.batchSize',
  warmup: 'training.warmupSteps',
  lrschedulertype: 'training.schedule',
  savesteps: 'training.saveEvery',
  evalsteps: 'training.evaluateEvery',
  modelnameorpath: 'model.path',
  datasetname: ['data.files', 'online.prompts'],
  files: 'online.prompts',
  prompts: 'data.files',
  columns: 'online.promptField',
  promptfield: 'data.columns',
  steps: 'training.maxSteps',
  maxsteps: 'online.steps',
  batchsize: 'online.promptsPerStep',
  promptsperstep: 'training.batchSize',
  maxseqlength: 'data.maxLength',
  outputdir: 'output.folder',
  losstype: 'objective.name',
  heldout: ['data.heldoutFraction', 'online.heldoutPrompts'],
  heldoutprompts: 'data.heldout',
  r: 'lora.rank',
  loraalpha: 'lora.alpha',
  targetmodules: 'lora.targets',
  usedora: 'lora.dora',
  numgenerations: 'online.completions',
  groupsize: 'online.completions',
  maxcompletionlength: 'online.maxNewTokens',
  responselength: 'online.maxNewTokens',
  numppoepochs: 'online.rolloutEpochs',
  numiterations: 'online.rolloutEpochs',
  numminibatches: 'online.miniBatches',
  klcoef: 'online.penaltyCoef',
  rewardfuncs: 'online.rewards',
  reward: 'online.rewards',
  lam: 'online.gaeLambda',
};

const plain = (name: string) => name.toLowerCase().replaceAll(/[-_]/g, '');

/** Where a key of another spelling, section or library is to be written. */
function samePlaces(key: string, keys: ReadonlyMap<string, readonly string[]>): string[] {
  const named = Object.hasOwn(otherNames, plain(key)) ? [otherNames[plain(key)]!].flat() : [];
  const others = named.filter((place) => {
    const [section = '', own = ''] = place.split('.');
    return keys.get(section)?.includes(own);
  });
  const spelt = [...keys].flatMap(([name, held]) =>
    held.flatMap((own) => (plain(own) === plain(key) ? [`${name}.${own}`] : [])),
  );
  return [...new Set([...spelt, ...others])];
}

/** The same key elsewhere, else the ones most like it in its own section. */
function near(key: string, section: string, keys: ReadonlyMap<string, readonly string[]>): string {
  const elsewhere = samePlaces(key, keys);
  const others = (keys.get(section) ?? []).filter((name) => name !== 'name');
  const own = nearestNames(plain(key), others, 2).map((name) => `${section}.${name}`);
  const found = elsewhere.length > 0 ? elsewhere : own;
  return found.length === 0 ? '' : `; nearest: ${quoted(found)}`;
}

function nested(entries: readonly Entry[]): Record<string, unknown> {
  // Unknown keys are gone by now, but `data.columns` holds any.
  const root: Record<string, unknown> = {};
  for (const { path, value } of entries) {
    let at = root;
    for (const key of path.slice(0, -1)) {
      if (!Object.hasOwn(at, key)) define(at, key, {});
      at = at[key] as Record<string, unknown>;
    }
    define(at, path.at(-1)!, value);
  }
  return root;
}

function define(object: Record<string, unknown>, key: string, value: unknown): void {
  Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true });
}

/** Problems of a file from its top down. */
function inOrder(problems: readonly ConfigProblem[]): ConfigProblem[] {
  const place = ({ origin }: ConfigProblem) => (origin.kind === 'file' ? [origin.line, origin.column] : [0, 0]);
  return problems.toSorted((a, b) => {
    const [[line = 0, column = 0], [otherLine = 0, otherColumn = 0]] = [place(a), place(b)];
    return line - otherLine || column - otherColumn;
  });
}

function invalid(
  issue: z.core.$ZodIssue,
  merged: ReadonlyMap<string, Entry>,
  schema: ReturnType<typeof configSchema>,
): ConfigProblem {
  const path = issue.path.map(String);
  const places = path.map((_, i) => pathText(path.slice(0, path.length - i)));
  const entry = places.flatMap((place) => merged.get(place) ?? [])[0];
  const told = entry === undefined ? pathText(path) : pathText(entry.path);
  // Of a refinement, the type says nothing.
  const wanted = (issue.code === 'custom' ? undefined : wantedAt(path, schema)) ?? issue.message;
  const received = entry === undefined ? '' : `, got ${shown(entry.value)}`;
  return { origin: entry?.origin ?? { kind: 'default' }, message: `\`${told}\`: ${wanted}${received}` };
}

/** What a key takes, in the words of the flags. */
function wantedAt([section = '', key = '']: readonly string[], schema: ReturnType<typeof configSchema>) {
  const json = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as unknown as {
    properties: Record<string, { properties?: Record<string, Property> }>;
  };
  const property = json.properties[section]?.properties?.[key];
  if (property === undefined) return undefined;
  if (property.enum !== undefined) return `expected one of ${quoted(property.enum)}`;
  if (property.type === 'boolean') return 'expected true or false';
  if (property.type === 'string') return 'expected text';
  return property.type === 'number' || property.type === 'integer' ? `expected ${expected(property)}` : undefined;
}

function shown(value: unknown): string {
  if (value === null || value === undefined) return 'nothing';
  const text = typeof value === 'number' ? numberText(value) : (JSON.stringify(value) ?? String(value));
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}

/** As YAML writes it. */
function numberText(value: number): string {
  if (Number.isNaN(value)) return '.nan';
  return Number.isFinite(value) ? String(value) : value > 0 ? '.inf' : '-.inf';
}

function originsOf(
  config: RunConfig | OnlineConfig,
  merged: ReadonlyMap<string, Entry>,
  objective: Objective,
): Map<string, Origin> {
  const origins = new Map<string, Origin>();
  for (const [section, keys] of keysOf(objective)) {
    for (const key of keys) {
      const path = `${section}.${key}`;
      const values = (config as unknown as Record<string, Record<string, unknown>>)[section];
      // Rows of their own leave no share to hold out.
      const other = key === 'heldoutFraction' ? (values?.heldout ?? values?.heldoutPrompts) : undefined;
      const value = values?.[key];
      if (value === undefined || other !== undefined) continue;
      const below = [...merged.keys()].find((other) => other.startsWith(`${path}.`));
      origins.set(path, merged.get(path)?.origin ?? merged.get(below ?? '')?.origin ?? { kind: 'default' });
    }
  }
  return origins;
}
