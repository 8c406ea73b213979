/**
 * Rotary position tables: position p turns pair i of a head by p * inverseFrequencies[i], and cos and sin are multiplied
 * by attentionScaling. One formula for each `rope_type` of Hugging Face transformers, checked against 5.23.0 in float64;
 * 4.57.6 gives the same from the same parameters. Where the two read a config differently, `files/rope-config.ts` says so.
 */
interface RopeBase {
  readonly theta: number;
  /** Entries of one head. */
  readonly headDim: number;
  /** Part of a head that turns: its first int(headDim * partialRotaryFactor) entries, an odd number rounded up. */
  readonly partialRotaryFactor: number;
  readonly maxPositionEmbeddings: number;
}

export type RopeScaling =
  | { readonly type: 'default' }
  | { readonly type: 'linear'; readonly factor: number }
  | { readonly type: 'dynamic'; readonly factor: number }
  | {
      readonly type: 'yarn';
      readonly factor: number;
      readonly originalMaxPositionEmbeddings: number;
      readonly attentionFactor?: number;
      readonly mscale?: number;
      readonly mscaleAllDim?: number;
      readonly betaFast: number;
      readonly betaSlow: number;
      readonly truncate: boolean;
    }
  | {
      readonly type: 'longrope';
      readonly factor: number;
      readonly originalMaxPositionEmbeddings: number;
      readonly attentionFactor?: number;
      readonly shortFactor: readonly number[];
      readonly longFactor: readonly number[];
    }
  | {
      readonly type: 'llama3';
      readonly factor: number;
      readonly originalMaxPositionEmbeddings: number;
      readonly lowFreqFactor: number;
      readonly highFreqFactor: number;
    }
  | { readonly type: 'proportional'; readonly factor: number };

export type RopeType = RopeScaling['type'];
export type RopeConfig = RopeBase & RopeScaling;

export interface RopeTables {
  /** One a pair: the first 2 * length entries of a head turn, the others stay. */
  readonly inverseFrequencies: Float64Array;
  readonly attentionScaling: number;
}

/**
 * The tables for a row of `sequenceLength` tokens. Only `dynamic` and `longrope` look at the length; the library decides
 * by the longest row of a batch (and by what it saw before), here every row is taken alone.
 */
export function ropeFrequencies(config: RopeConfig, sequenceLength: number): RopeTables {
  return (formulas[config.type] as Formula<RopeType>)(config as RopeConfig & { type: RopeType }, sequenceLength);
}

/** Rows whose class is the same string share their tables; '' where the length does not matter. */
export function ropeClass(config: RopeConfig, sequenceLength: number): string {
  if (config.type === 'dynamic') return sequenceLength > config.maxPositionEmbeddings ? String(sequenceLength) : '';
  if (config.type === 'longrope') return sequenceLength > config.originalMaxPositionEmbeddings ? 'long' : 'short';
  return '';
}

/** Whether frequencies hang on a sequence's length. */
export function ropeVaries({ type }: RopeConfig): boolean {
  return type === 'dynamic' || type === 'longrope';
}

/**
 * `dim` of the formulas. An odd one is rounded up by the tables: a head's first 2 * inverseFrequencies.length entries turn.
 */
export function rotaryDim(config: RopeConfig): number {
  return config.type === 'proportional' ? config.headDim : Math.trunc(config.headDim * config.partialRotaryFactor);
}

type Formula<Type extends RopeType> = (
  config: RopeBase & Extract<RopeScaling, { type: Type }>,
  length: number,
) => RopeTables;

const formulas: { readonly [Type in RopeType]: Formula<Type> } = {
  /** theta^(-2i / dim) */
  default: (config) => tables(powers(config.theta, rotaryDim(config))),

  /** Positions divided by the factor. */
  linear: (config) => tables(powers(config.theta, rotaryDim(config)).map((frequency) => frequency / config.factor)),

  /** NTK: beyond the trained length n, theta grows by (factor * length / n - (factor - 1))^(dim / (dim - 2)). */
  dynamic: (config, length) => {
    const dim = rotaryDim(config);
    const ratio = Math.max(length, config.maxPositionEmbeddings) / config.maxPositionEmbeddings;
    const growth = (config.factor * ratio - (config.factor - 1)) ** (dim / (dim - 2));
    return tables(powers(config.theta * growth, dim));
  },

  /**
   * Peng et al. 2023, arXiv:2309.00071: fast pairs stay, slow ones are divided by the factor, with a linear ramp over the
   * pairs that turn between betaFast and betaSlow times within the trained length.
   */
  yarn: (config) => {
    const { theta, factor } = config;
    const dim = rotaryDim(config);
    const pairOf = (turns: number) =>
      (dim * Math.log(config.originalMaxPositionEmbeddings / (turns * 2 * Math.PI))) / (2 * Math.log(theta));
    const round = (value: number, how: (value: number) => number) => (config.truncate ? how(value) : value);
    const low = Math.max(round(pairOf(config.betaFast), Math.floor), 0);
    const high = Math.min(round(pairOf(config.betaSlow), Math.ceil), dim - 1);
    const width = low === high ? 0.001 : high - low;
    const frequencies = powers(theta, dim).map((frequency, i) => {
      const ramp = Math.min(Math.max((i - low) / width, 0), 1);
      return (frequency / factor) * ramp + frequency * (1 - ramp);
    });
    return tables(frequencies, config.attentionFactor ?? yarnAttention(config));
  },

  /** Ding et al. 2024, arXiv:2402.13753: each frequency divided by a factor of its own, short or long by the row's length. */
  longrope: (config, length) => {
    const { originalMaxPositionEmbeddings: original, factor } = config;
    const divisors = length > original ? config.longFactor : config.shortFactor;
    const frequencies = powers(config.theta, rotaryDim(config)).map((frequency, i) => frequency / divisors[i]!);
    const attention = factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(original));
    return tables(frequencies, config.attentionFactor ?? attention);
  },

  /** Llama 3.1: short wavelengths stay, long ones are divided by the factor, between them is interpolated. */
  llama3: (config) => {
    const { factor, lowFreqFactor, highFreqFactor, originalMaxPositionEmbeddings: original } = config;
    const frequencies = powers(config.theta, rotaryDim(config)).map((frequency) => {
      const turns = (original * frequency) / (2 * Math.PI);
      if (turns > highFreqFactor) return frequency;
      if (turns < lowFreqFactor) return frequency / factor;
      const smooth = (turns - lowFreqFactor) / (highFreqFactor - lowFreqFactor);
      return ((1 - smooth) * frequency) / factor + smooth * frequency;
    });
    return tables(frequencies);
  },

  /** Exponents run over the whole head, the pairs behind partialRotaryFactor stand still. */
  proportional: (config) => {
    const angles = Math.floor((config.partialRotaryFactor * config.headDim) / 2);
    return tables(
      powers(config.theta, config.headDim)
        .slice(0, Math.floor(config.headDim / 2))
        .map((frequency, i) => (i < angles ? frequency / config.factor : 0)),
    );
  },
};

function tables(inverseFrequencies: Float64Array, attentionScaling = 1): RopeTables {
  return { inverseFrequencies, attentionScaling };
}

function powers(theta: number, dim: number): Float64Array {
  return Float64Array.from({ length: Math.ceil(dim / 2) }, (_, i) => 1 / theta ** ((2 * i) / dim));
}

function yarnAttention({
  factor,
  mscale,
  mscaleAllDim,
}: {
  factor: number;
  mscale?: number;
  mscaleAllDim?: number;
}): number {
  const of = (weight: number) => (factor <= 1 ? 1 : 0.1 * weight * Math.log(factor) + 1);
  return mscale && mscaleAllDim ? of(mscale) / of(mscaleAllDim) : of(1);
}
