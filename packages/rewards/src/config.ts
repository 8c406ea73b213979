import { readFile } from 'node:fs/promises';
import { messageOf, nearestNames } from '@kelpie/policy';
import { z } from 'zod';
import { ensemble } from './combine/ensemble.js';
import { weightedSum } from './combine/weighted.js';
import { RewardError, show } from './error.js';
import { asReward } from './function.js';
import type { Reward } from './reward.js';
import { defineSource, type Source } from './source.js';
import * as sources from './sources/index.js';
import { calibrated, type ReferenceRewards } from './transforms/calibrated.js';
import { clipped } from './transforms/clipped.js';
import { normalised } from './transforms/normalised.js';
import { plantedError } from './transforms/planted-error.js';

/** A reward as a config file has it: `{ type: 'clipped', low: -1, of: { type: 'length', target: 20 } }`. */
export type RewardConfig = { readonly type: string } & Readonly<Record<string, unknown>>;

export interface OpenOptions {
  /** Evaluates a user's file for `{ type: 'function', file }`, and gives what it exports as a reward. */
  readonly load?: (file: string) => Promise<unknown>;
  /** Further sources, by their names. */
  readonly sources?: readonly Source[];
}

/** Opens the reward at a place of the config: `of`, `terms.0.reward`. */
type Nested = (config: unknown, place: string) => Promise<Reward>;

const config = z.looseObject({ type: z.string() }).describe('A reward of its own, with its `type`.');
const moments = z.strictObject({ mean: z.number(), deviation: z.number().positive() });
const named = { name: z.string().min(1).optional().describe('What it is called in parts, logs and errors.') };

/** `name` only where one is given: each reward has a default of its own. */
const withName = ({ name }: { readonly name?: string | undefined }) => (name === undefined ? {} : { name });

interface Combination {
  readonly summary: string;
  readonly options: z.ZodObject;
  open(options: Record<string, unknown>, nested: Nested): Promise<Reward>;
}

function combination<S extends z.ZodRawShape>(
  summary: string,
  shape: S,
  open: (options: z.output<z.ZodObject<S & typeof named>>, nested: Nested) => Promise<Reward>,
): Combination {
  return { summary, options: z.strictObject({ ...shape, ...named }), open: open as Combination['open'] };
}

const combinations: Readonly<Record<string, Combination>> = {
  'weighted-sum': combination(
    'several rewards, each times its weight',
    { terms: z.array(z.strictObject({ weight: z.number(), reward: config })).min(1) },
    async (options, nested) => {
      const rewards = await each(options.terms, ({ reward }, at) => nested(reward, `terms.${at}.reward`));
      const terms = rewards.map((reward, at) => ({ reward, weight: options.terms[at]!.weight }));
      return weightedSum(terms, withName(options));
    },
  ),
  ensemble: combination(
    'several rewards of the same thing: their mean, the worst, or the mean less their disagreement',
    {
      members: z.array(config).min(2),
      how: z.enum(['mean', 'worst', 'cautious']).default('mean'),
      caution: z.number().min(0).default(0.5).describe('λ of `cautious`.'),
      disagreement: z.enum(['variance', 'deviation']).default('variance').describe('What `cautious` takes off.'),
    },
    async ({ members, name, ...how }, nested) =>
      ensemble(await each(members, (member, at) => nested(member, `members.${at}`)), { ...how, ...withName({ name }) }),
  ),
  clipped: combination(
    'a reward held between two numbers',
    { of: config, low: z.number().optional(), high: z.number().optional() },
    async ({ of, low, high, ...rest }, nested) =>
      clipped(await nested(of, 'of'), {
        ...(low !== undefined && { low }),
        ...(high !== undefined && { high }),
        ...withName(rest),
      }),
  ),
  normalised: combination(
    'a reward less its mean, by its deviation: of all seen so far, or given ones',
    {
      of: config,
      by: z.union([z.literal('running'), moments]).default('running'),
      shiftMean: z.boolean().default(true),
    },
    async ({ of, by, shiftMean, ...rest }, nested) =>
      normalised(await nested(of, 'of'), { by, shiftMean, ...withName(rest) }),
  ),
  calibrated: combination(
    "a reward's quantile among those of the reference's completions, transformed",
    {
      of: config,
      reference: z
        .union([z.string().min(1), z.record(z.string(), z.array(z.number()).min(1))])
        .describe('By prompt, the rewards of the reference; or a JSON file of that.'),
      exponent: z.number().default(0).describe('t of e^tC: above 0 for best-of-n, below for worst-of-n.'),
    },
    async ({ of, reference, exponent, ...rest }, nested) =>
      calibrated(await nested(of, 'of'), { reference: await tableOf(reference), exponent, ...withName(rest) }),
  ),
  'planted-error': combination(
    'a proxy of a reward with an error of known kind',
    {
      of: config,
      gold: moments.describe("Mean and deviation of it on the reference's completions."),
      correlation: z.number().min(0).max(1).describe('Of proxy and gold.'),
      degreesOfFreedom: z.number().positive().optional().describe("Of Student's t; absent: Gaussian."),
      bias: z.number().default(0).describe('In deviations of gold.'),
      leaning: z.strictObject({ on: config, slope: z.number() }).optional().describe('What the error leans on.'),
      seed: z.int().default(0),
    },
    async ({ of, leaning, degreesOfFreedom, name, ...rest }, nested) => {
      const [gold, on] = await each(leaning === undefined ? [of] : [of, leaning.on], (one, at) =>
        nested(one, at === 0 ? 'of' : 'leaning.on'),
      );
      return plantedError(gold!, {
        ...rest,
        ...withName({ name }),
        ...(degreesOfFreedom !== undefined && { degreesOfFreedom }),
        ...(leaning !== undefined && { leaning: { on: on!, slope: leaning.slope } }),
      });
    },
  ),
};

const functionOptions = {
  file: z.string().min(1).describe('A file that exports a function of a row, or what `batchReward` gives.'),
  timeoutMs: z.int().min(1).default(60_000).describe('A call that takes longer fails.'),
  abstains: z.boolean().default(false).describe('Whether it may answer NaN: not judged.'),
};

const functionSource = (load: OpenOptions['load']) =>
  defineSource({
    name: 'function',
    summary: "a function in a user's file",
    options: functionOptions,
    async open({ file, ...options }) {
      if (load === undefined)
        throw new RewardError(`reward \`${options.name}\`: files are not loaded here: pass \`load\`.`, {
          code: 'bad-option',
        });
      return asReward(await load(file), options);
    },
  });

interface RewardType {
  readonly name: string;
  readonly summary: string;
  readonly options: z.ZodObject;
}

/** Every `type` that a config may have, for help, tables and schemas. */
export const rewardTypes: readonly RewardType[] = [
  ...[...Object.values(sources), functionSource(undefined)].map(({ name, summary, options }) => ({
    name,
    summary,
    options: options as unknown as z.ZodObject,
  })),
  ...Object.entries(combinations).map(([name, { summary, options }]) => ({ name, summary, options })),
];

/** Opens what a config describes. Errors say where in the config. If a part cannot be opened, none stays open. */
export async function openReward(given: unknown, { load, sources: others = [] }: OpenOptions = {}): Promise<Reward> {
  const opened: Reward[] = [];
  const kept = (reward: Reward): Reward => {
    opened.push(reward);
    return reward;
  };
  const openAt = async (part: unknown, place: string): Promise<Reward> => {
    const { type, ...options } = typed(part, place, others);
    const nested: Nested = (inner, path) => openAt(inner, place === '' ? path : `${place}.${path}`);
    const source = [...Object.values(sources), functionSource(load), ...others].find(({ name }) => name === type);
    try {
      if (source !== undefined) return kept(await source.open(options as never));
      const made = combinations[type]!;
      const parsed = made.options.safeParse(options);
      if (!parsed.success) throw refused(type, parsed.error);
      return await made.open(parsed.data, nested);
    } catch (error) {
      if (!(error instanceof RewardError) || error.where !== undefined || place === '') throw error;
      const { message, code, rows, cause } = error;
      throw new RewardError(message, { code, rows, where: { place }, ...(cause !== undefined && { cause }) });
    }
  };
  try {
    return await openAt(given, '');
  } catch (error) {
    await Promise.all(opened.map((reward) => reward.dispose()));
    throw error;
  }
}

function typed(part: unknown, place: string, others: readonly Source[]): RewardConfig {
  const type = (part as Partial<RewardConfig> | undefined)?.type;
  const known = [...rewardTypes, ...others].map(({ name }) => name);
  if (typeof type === 'string' && known.includes(type)) return part as RewardConfig;
  const near =
    typeof type === 'string' ? `nearest: ${nearestNames(type, known).join(', ')}` : `one of ${known.join(', ')}`;
  throw new RewardError(`\`${place === '' ? 'type' : `${place}.type`}\`: there is no reward ${show(type)}; ${near}.`, {
    code: 'bad-option',
  });
}

function refused(type: string, { issues }: z.ZodError): RewardError {
  const lines = issues.map(({ path, message }) =>
    path.length === 0 ? message : `option \`${path.join('.')}\`: ${message}`,
  );
  return new RewardError(`reward \`${type}\`: ${lines.join('\n')}`, { code: 'bad-option', reward: type });
}

/** Opens one after the other. */
async function each<Item>(
  items: readonly Item[],
  open: (item: Item, at: number) => Promise<Reward>,
): Promise<Reward[]> {
  const opened: Reward[] = [];
  for (const [at, item] of items.entries()) opened.push(await open(item, at));
  return opened;
}

const referenceTable = z.record(z.string(), z.array(z.number()).min(1));

async function tableOf(reference: string | ReferenceRewards): Promise<ReferenceRewards> {
  if (typeof reference !== 'string') return reference;
  try {
    return referenceTable.parse(JSON.parse(await readFile(reference, 'utf8')));
  } catch (cause) {
    throw new RewardError(`\`${reference}\`: expected JSON of prompts with lists of rewards: ${messageOf(cause)}`, {
      code: 'bad-file',
      cause,
    });
  }
}
