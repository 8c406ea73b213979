import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { basename, extname, resolve } from 'node:path';
import { nestsTooDeep } from '@kelpie/data';
import { atMostLevels, nearestNames } from '@kelpie/policy';
import * as rewards from '@kelpie/rewards';
import { asReward, type Reward, type Source } from '@kelpie/rewards';
import { rewardModel, type WeightedReward } from '@kelpie/runner';
import { createJiti } from 'jiti';
import { z } from 'zod';
import { UsageError } from '../exit.js';
import type { Property } from '../flags.js';
import { rewardSources } from './reward-types.js';

type Options = Record<string, unknown>;

/** As a config has it: what a flag would say, or keys with a `type`. */
export type RewardEntry = string | ({ readonly type: string } & Options);

type Entries = RewardEntry | readonly RewardEntry[];

interface Judges {
  readonly rewards: readonly WeightedReward[];
  readonly watched: readonly Reward[];
}

/**
 * Opens rewards side by side; if one cannot be opened, none stays open. As a flag names one:
 *   length:target=20,weight=0.5     a source and its options; `weight` is that of the sum
 *   regular-expression:{"pattern":"a,b"}
 *   ./mine.ts:weight=2              a function of a row, the default export of a file
 *   {"type":"clipped","of":{"type":"length","target":20},"high":0}     as a config file has it
 */
async function openRewards(entries: Entries = []): Promise<WeightedReward[]> {
  const all = (Array.isArray(entries) ? entries : [entries]) as readonly RewardEntry[];
  const opened = await Promise.allSettled(all.map((entry) => openEntry(entry)));
  const failed = opened.find((one) => one.status === 'rejected');
  const rewards = opened.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  if (failed === undefined) return rewards;
  await disposeAll(rewards);
  throw failed.reason;
}

/** Opens what is optimised and what is watched, and lets go of both whatever `use` does. */
export async function withRewards<Result>(
  { rewards: optimised, watch }: { readonly rewards?: Entries | undefined; readonly watch?: Entries | undefined },
  use: (opened: Judges) => Promise<Result>,
): Promise<Result> {
  const rewards = await openRewards(optimised);
  try {
    const watched = await openRewards(watch);
    try {
      return await use({ rewards, watched: watched.map(({ reward }) => reward) });
    } finally {
      await disposeAll(watched);
    }
  } finally {
    await disposeAll(rewards);
  }
}

async function disposeAll(opened: readonly WeightedReward[]): Promise<void> {
  await Promise.all(opened.map(({ reward }) => reward.dispose()));
}

async function openEntry(entry: RewardEntry): Promise<WeightedReward> {
  if (typeof entry !== 'string') return openKeys(entry, JSON.stringify(entry));
  if (entry.startsWith('{')) return openKeys(jsonIn(entry, entry), entry);
  return openCalled(entry);
}

/** `{ type, weight, ... }`: any source, and what is made of others: `weighted-sum`, `ensemble`, `clipped` ... */
async function openKeys({ weight = 1, ...keys }: Options, called: string): Promise<WeightedReward> {
  const hashes: string[] = [];
  const load = async (path: string): Promise<unknown> => {
    const { exported, hash } = await loadFile(path);
    hashes.push(hash);
    return exported;
  };
  const reward = await rewards.openReward(keys, { load, sources: [rewardModel] });
  if (reward.hash !== undefined) hashes.push(reward.hash);
  return {
    reward,
    weight: weightOf(weight, called),
    madeOf: { ...withoutSecrets(keys), ...(hashes.length > 0 && { hashes }) },
  };
}

async function openCalled(called: string): Promise<WeightedReward> {
  const { name, rest } = /^(?<name>(?:\.{0,2}\/)?[^:{]+)(?::(?<rest>.*))?$/s.exec(called)?.groups ?? {};
  if (name === undefined) throw new UsageError(`--reward: expected \`name:option=value,...\`, got \`${called}\``);
  const { weight: given = 1, ...options } = optionsIn(rest, called);
  const weight = weightOf(given, called);
  if (/\.[cm]?[jt]s$/.test(name)) return { ...(await ofFile(name, options)), weight };
  const source = rewardSources().get(name);
  if (source === undefined) {
    const near = nearestNames(name, [...rewardSources().keys()]).map((known) => `\`${known}\``);
    throw new UsageError(
      `--reward: there is no reward \`${name}\`; nearest: ${near.join(', ')}; or name a file, \`./mine.ts\``,
    );
  }
  const typed = withTypes(source, options);
  const reward = await source.open(typed as never);
  return {
    reward,
    weight,
    madeOf: { ...withoutSecrets(typed), ...(reward.hash !== undefined && { hash: reward.hash }) },
  };
}

/** What a run keeps of options: request headers, which may hold a key, are none of it. */
function withoutSecrets(options: Options): Options {
  return JSON.parse(JSON.stringify(options, (key, value) => (key === 'headers' ? undefined : value))) as Options;
}

function weightOf(weight: unknown, called: string): number {
  const number = Number(weight);
  if (Number.isFinite(number)) return number;
  throw new UsageError(`--reward ${called}: \`weight\`: expected a number, got \`${weight}\``);
}

function jsonIn(text: string, called: string): Options {
  let options: Options;
  try {
    options = JSON.parse(text) as Options;
  } catch (cause) {
    throw new UsageError(`--reward ${called}: the options are no JSON: ${(cause as Error).message}`);
  }
  if (nestsTooDeep(options)) throw new UsageError(`--reward ${called.slice(0, 200)}…: expected ${atMostLevels}`);
  return options;
}

function optionsIn(text: string | undefined, called: string): Options {
  if (text === undefined || text === '') return {};
  if (text.startsWith('{')) return jsonIn(text, called);
  return Object.fromEntries(
    text.split(',').map((pair) => {
      const at = pair.indexOf('=');
      if (at < 1) throw new UsageError(`--reward ${called}: expected \`option=value\`, got \`${pair}\``);
      return [pair.slice(0, at), pair.slice(at + 1)];
    }),
  );
}

/** Texts of a flag as the types that the source asks for; its own check says what does not fit. */
function withTypes(source: Source, options: Options): Options {
  const { properties = {} } = z.toJSONSchema(source.options, { io: 'input', unrepresentable: 'any' });
  return Object.fromEntries(
    Object.entries(options).map(([name, value]) => [
      name,
      typed(value, (properties as Record<string, Property>)[name]),
    ]),
  );
}

function typed(value: unknown, property: Property | undefined): unknown {
  if (typeof value !== 'string') return value;
  if ((property?.type === 'number' || property?.type === 'integer') && value.trim() !== '') return Number(value);
  return property?.type === 'boolean' && ['true', 'false'].includes(value) ? value === 'true' : value;
}

async function ofFile(
  path: string,
  { name = basename(path, extname(path)), timeoutMs = 60_000, ...others }: Options,
): Promise<WeightedReward> {
  const [extra] = Object.keys(others);
  if (extra !== undefined)
    throw new UsageError(`--reward ${path}: a file takes \`name\`, \`weight\` and \`timeoutMs\`, not \`${extra}\``);
  const limit = Number(timeoutMs);
  if (!(limit > 0))
    throw new UsageError(`--reward ${path}: \`timeoutMs\`: expected a number above 0, got \`${timeoutMs}\``);
  const { exported, hash } = await loadFile(path);
  return { reward: asReward(exported, { name: String(name), timeoutMs: limit }), madeOf: { hash } };
}

async function loadFile(path: string): Promise<{ readonly exported: unknown; readonly hash: string }> {
  const file = resolve(path);
  if (!existsSync(file)) throw new UsageError(`--reward: there is no file \`${path}\``);
  const jiti = createJiti(import.meta.url, { virtualModules: { '@kelpie/rewards': rewards }, fsCache: false });
  const exported = await jiti.import<unknown>(file, { default: true });
  return { exported, hash: createHash('sha256').update(readFileSync(file)).digest('hex') };
}
