import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { nearestNames } from '@kelpie/policy';
import * as rewards from '@kelpie/rewards';
import { asReward, type Reward, type Source } from '@kelpie/rewards';
import { rewardModel, type WeightedReward } from '@kelpie/runner';
import { createJiti } from 'jiti';
import { z } from 'zod';
import { UsageError } from '../exit.js';
import type { Property } from '../flags.js';

type Options = Record<string, unknown>;

/** Sources by the name a flag calls them. */
export function rewardSources(): ReadonlyMap<string, Source> {
  const all = [...Object.values(rewards), rewardModel] as readonly unknown[];
  return new Map(all.filter(isSource).map((source) => [source.name, source]));
}

function isSource(value: unknown): value is Source {
  if (typeof value !== 'object' || value === null) return false;
  const { name, summary, options, open } = value as Partial<Source>;
  return typeof name === 'string' && typeof summary === 'string' && typeof open === 'function' && options !== undefined;
}

/**
 * A reward as a flag names it.
 *   length:target=20,weight=0.5     a source and its options; `weight` is that of the sum
 *   regular-expression:{"pattern":"a,b"}
 *   ./mine.ts:weight=2              a function of a row, the default export of a file
 */
export async function openReward(called: string): Promise<WeightedReward> {
  const { name, rest } = /^(?<name>(?:\.{0,2}\/)?[^:{]+)(?::(?<rest>.*))?$/s.exec(called)?.groups ?? {};
  if (name === undefined) throw new UsageError(`--reward: expected \`name:option=value,...\`, got \`${called}\``);
  const { weight = 1, ...options } = optionsIn(rest, called);
  const number = Number(weight);
  if (!Number.isFinite(number))
    throw new UsageError(`--reward ${called}: \`weight\`: expected a number, got \`${weight}\``);
  if (/\.[cm]?[jt]s$/.test(name)) return { ...(await ofFile(name, options)), weight: number };
  const source = rewardSources().get(name);
  if (source === undefined) {
    const near = nearestNames(name, [...rewardSources().keys()]).map((known) => `\`${known}\``);
    throw new UsageError(
      `--reward: there is no reward \`${name}\`; nearest: ${near.join(', ')}; or name a file, \`./mine.ts\``,
    );
  }
  const typed = withTypes(source, options);
  const reward = await source.open(typed as never);
  return { reward, weight: number, madeOf: { ...typed, ...(reward.hash !== undefined && { hash: reward.hash }) } };
}

function optionsIn(text: string | undefined, called: string): Options {
  if (text === undefined || text === '') return {};
  if (text.startsWith('{')) {
    try {
      return JSON.parse(text) as Options;
    } catch (cause) {
      throw new UsageError(`--reward ${called}: the options are no JSON: ${(cause as Error).message}`);
    }
  }
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

async function ofFile(path: string, { name = path, ...others }: Options): Promise<WeightedReward> {
  const [extra] = Object.keys(others);
  if (extra !== undefined)
    throw new UsageError(`--reward ${path}: a file takes \`name\` and \`weight\`, not \`${extra}\``);
  const file = resolve(path);
  if (!existsSync(file)) throw new UsageError(`--reward: there is no file \`${path}\``);
  const jiti = createJiti(import.meta.url, { virtualModules: { '@kelpie/rewards': rewards }, fsCache: false });
  const exported = await jiti.import<unknown>(file, { default: true });
  const reward: Reward = asReward(exported, { name: String(name) });
  const hash = createHash('sha256').update(readFileSync(file)).digest('hex');
  return { reward, madeOf: { hash } };
}
