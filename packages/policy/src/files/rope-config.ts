import { z } from 'zod';
import { KelpieError, nearestNames } from '../errors.js';
import { type RopeConfig, type RopeScaling, type RopeType, rotaryDim } from '../rope.js';
import type { RawConfig } from './config-file.js';
import { isJsonObject, type JsonObject } from './json.js';

export interface RopeContext {
  readonly headDim: number;
  readonly maxPositionEmbeddings: number;
  /** Default 10000. */
  readonly defaultTheta?: number;
  /** Default: the config's `partial_rotary_factor`, or 1. */
  readonly partialRotaryFactor?: number;
}

/**
 * The rotary part of a config.json, of either style: `rope_theta` and `rope_scaling` (transformers 4), or
 * `rope_parameters` with `rope_theta` in it (5). As in 5: a `rope_scaling` that is not empty wins over `rope_parameters`;
 * `original_max_position_embeddings` beside the scaling wins over the one in it, and `max_position_embeddings` stands in
 * for both. Where 4 computes otherwise from the same file: its longrope does not read the original length inside the
 * scaling, and lets the ratio of lengths win over an explicit factor.
 */
export function parseRope(raw: RawConfig, context: RopeContext): { rope: RopeConfig; warnings: string[] } {
  const { json, file } = raw;
  const key = isFilled(json.rope_scaling) || !isFilled(json.rope_parameters) ? 'rope_scaling' : 'rope_parameters';
  const fail = failAt(file);
  const parameters = json[key] ?? {};
  if (!isJsonObject(parameters)) return fail(key, `expected an object or null, got ${JSON.stringify(parameters)}`);
  if (Object.hasOwn(parameters, 'full_attention') || Object.hasOwn(parameters, 'sliding_attention')) {
    return fail(key, 'expected one rotation for all layers, got one for each layer type');
  }
  const number = (name: string, value: unknown): number | undefined => {
    if (value === undefined || value === null) return undefined;
    return typeof value === 'number' && Number.isFinite(value) && value > 0
      ? value
      : fail(name, `expected a number above 0, got ${JSON.stringify(value)}`);
  };
  const theta =
    number(`${key}.rope_theta`, parameters.rope_theta) ??
    number('rope_theta', json.rope_theta) ??
    context.defaultTheta ??
    10000;
  const partialRotaryFactor =
    number(`${key}.partial_rotary_factor`, parameters.partial_rotary_factor) ??
    context.partialRotaryFactor ??
    number('partial_rotary_factor', json.partial_rotary_factor) ??
    1;
  if (partialRotaryFactor > 1) fail('partial_rotary_factor', `expected at most 1, got ${partialRotaryFactor}`);
  const type = typeOf(parameters, key, fail);
  const original =
    number('original_max_position_embeddings', json.original_max_position_embeddings) ??
    number(`${key}.original_max_position_embeddings`, parameters.original_max_position_embeddings) ??
    context.maxPositionEmbeddings;

  const reader = readers[type];
  const parsed = reader.schema.safeParse(parameters);
  if (!parsed.success) {
    const issues = parsed.error.issues.map((issue) => `\`${key}.${issue.path.join('.')}\`: ${issue.message}`);
    return fail(key, `rope_type \`${type}\` needs other parameters: ${issues.join('; ')}`);
  }
  const scaling = reader.read(parsed.data as never, original, context.maxPositionEmbeddings / original);
  const { headDim, maxPositionEmbeddings } = context;
  const rope: RopeConfig = { theta, headDim, partialRotaryFactor, maxPositionEmbeddings, ...scaling };
  checkDimensions(rope, key, fail);
  const known = new Set([...common, ...Object.keys(reader.schema.shape)]);
  const warnings = Object.keys(parameters)
    .filter((name) => !known.has(name))
    .map((name) => `\`${key}.${name}\` has no meaning for rope_type \`${type}\` and is ignored`);
  return { rope, warnings: [...warnings, ...doubts(rope, key)] };
}

const common = ['rope_type', 'type', 'rope_theta', 'partial_rotary_factor', 'original_max_position_embeddings'];

const positive = z.number().positive();

interface Reader<Schema extends z.ZodObject> {
  readonly schema: Schema;
  readonly read: (parameters: z.infer<Schema>, original: number, ratio: number) => RopeScaling;
}

function reader<Schema extends z.ZodObject>(schema: Schema, read: Reader<Schema>['read']): Reader<Schema> {
  return { schema, read };
}

const readers = {
  default: reader(z.object({}), () => ({ type: 'default' })),
  linear: reader(z.object({ factor: positive }), ({ factor }) => ({ type: 'linear', factor })),
  dynamic: reader(z.object({ factor: positive }), ({ factor }) => ({ type: 'dynamic', factor })),
  yarn: reader(
    z.object({
      factor: positive.nullable(),
      attention_factor: z.number().nonnegative().nullish(),
      mscale: z.number().nullish(),
      mscale_all_dim: z.number().nullish(),
      beta_fast: z.number().nullish(),
      beta_slow: z.number().nullish(),
      truncate: z.boolean().optional(),
    }),
    (p, original, ratio) => ({
      type: 'yarn',
      factor: p.factor ?? ratio,
      originalMaxPositionEmbeddings: original,
      ...given('attentionFactor', p.attention_factor),
      ...given('mscale', p.mscale),
      ...given('mscaleAllDim', p.mscale_all_dim),
      // `||`, as the library: 0 means the default too.
      betaFast: p.beta_fast || 32,
      betaSlow: p.beta_slow || 1,
      truncate: p.truncate ?? true,
    }),
  ),
  longrope: reader(
    z.object({
      short_factor: z.array(positive),
      long_factor: z.array(positive),
      factor: positive.nullish(),
      attention_factor: z.number().nonnegative().nullish(),
    }),
    (p, original, ratio) => ({
      type: 'longrope',
      factor: p.factor ?? ratio,
      originalMaxPositionEmbeddings: original,
      ...given('attentionFactor', p.attention_factor),
      shortFactor: p.short_factor,
      longFactor: p.long_factor,
    }),
  ),
  llama3: reader(
    z.object({ factor: positive, low_freq_factor: positive, high_freq_factor: positive }),
    (p, original) => ({
      type: 'llama3',
      factor: p.factor,
      originalMaxPositionEmbeddings: original,
      lowFreqFactor: p.low_freq_factor,
      highFreqFactor: p.high_freq_factor,
    }),
  ),
  proportional: reader(z.object({ factor: positive.optional() }), ({ factor = 1 }) => ({
    type: 'proportional',
    factor,
  })),
} as const satisfies { [Type in RopeType]: unknown };

export const ropeTypes = Object.keys(readers) as RopeType[];

type Fail = (key: string, message: string) => never;

function failAt(file: string): Fail {
  return (key, message) => {
    throw new KelpieError(message, { code: 'config-rope', where: { file, key } });
  };
}

function typeOf(parameters: JsonObject, key: string, fail: Fail): RopeType {
  const { rope_type: name = parameters.type ?? 'default', type: oldName = name } = parameters;
  if (name !== oldName) {
    // 4.x takes `type`, 5.x `rope_type`.
    return fail(
      key,
      `expected one rope type, got \`rope_type\` ${JSON.stringify(name)} and \`type\` ${JSON.stringify(oldName)}`,
    );
  }
  if (typeof name === 'string' && Object.hasOwn(readers, name)) return name as RopeType;
  const near = nearestNames(String(name), ropeTypes);
  return fail(
    `${key}.rope_type`,
    `expected a rope type that is supported (${ropeTypes.join(', ')}), got ${JSON.stringify(name)}; nearest: \`${near[0]}\``,
  );
}

function checkDimensions(rope: RopeConfig, key: string, fail: Fail): void {
  const dim = rotaryDim(rope);
  const pairs = Math.ceil(dim / 2);
  if (dim < 1 || 2 * pairs > rope.headDim) {
    fail(key, `expected an even number of entries to rotate, at least 2, got ${dim} of the ${rope.headDim} of a head`);
  }
  if (rope.type === 'yarn' && dim % 2 !== 0)
    fail(key, `rope_type \`yarn\` rotates an even number of entries, got ${dim}`);
  if (rope.type === 'dynamic' && dim === 2)
    fail(key, 'rope_type `dynamic` divides by dim - 2, and only 2 entries rotate');
  if (rope.type === 'longrope') {
    for (const [name, factors] of [
      ['short_factor', rope.shortFactor],
      ['long_factor', rope.longFactor],
    ] as const) {
      if (factors.length !== pairs)
        fail(`${key}.${name}`, `expected ${pairs} numbers, one a pair, got ${factors.length}`);
    }
  }
}

function doubts(rope: RopeConfig, key: string): string[] {
  const result: string[] = [];
  if ('factor' in rope && rope.factor < 1) result.push(`\`${key}.factor\` is ${rope.factor}; below 1 is unusual`);
  if (rope.type === 'yarn') {
    const ratio = rope.maxPositionEmbeddings / rope.originalMaxPositionEmbeddings;
    if (ratio !== rope.factor && ratio !== 1) {
      result.push(
        `\`${key}.factor\` is ${rope.factor}, but max / original_max_position_embeddings is ${ratio}; the factor is used`,
      );
    }
    if (rope.betaFast < rope.betaSlow) result.push(`\`${key}.beta_fast\` should be at least \`beta_slow\``);
  }
  if (rope.type === 'llama3' && rope.highFreqFactor <= rope.lowFreqFactor) {
    result.push(`\`${key}.high_freq_factor\` should be above \`low_freq_factor\``);
  }
  return result;
}

function isFilled(value: unknown): boolean {
  return value !== undefined && value !== null && !(isJsonObject(value) && Object.keys(value).length === 0);
}

function given<Name extends string>(name: Name, value: number | null | undefined): { [Key in Name]?: number } {
  return (value === undefined || value === null ? {} : { [name]: value }) as { [Key in Name]?: number };
}
