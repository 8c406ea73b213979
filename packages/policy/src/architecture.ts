import type { Value } from '@kelpie/onnx';
import { KelpieError } from './errors.js';
import type { RawConfig } from './files/config.js';
import type { ModelBuilder } from './model-builder.js';
import type { LinearModule, Parameter } from './parameters.js';
import type { Stack } from './stacks.js';

/** Sizes that layouts, caches and heads need, whatever the family. */
export interface Dimensions {
  readonly vocabularySize: number;
  readonly hiddenSize: number;
  readonly contextLength: number;
  readonly layers: number;
  readonly kvHeads: number;
  readonly headDim: number;
}

/** Rotary tables of a family: which angles a token at a position of a sequence of some length takes. */
export interface Rotary {
  /** Entries of the head that rotate. */
  readonly dim: number;
  /** Whether there is more than one class: a token's angle then changes as its sequence grows. */
  readonly varies: boolean;
  /** Sequences of equal class share angles; a tree whose branches differ in class is split into plain rows. */
  classOf(sequenceLength: number): string;
  /** Frequencies of a class, given one of its lengths, and what multiplies cos and sin. */
  frequencies(sequenceLength: number): { readonly inverseFrequencies: Float64Array; readonly attentionScaling: number };
}

/** A config turned into a model: what it holds and how it computes. */
export interface Model {
  readonly dimensions: Dimensions;
  readonly parameters: readonly Parameter[];
  readonly linears: readonly LinearModule[];
  /** Matrices that decoding steps take as one: those of every `ModelBuilder.linears`, and gate and up of every `gatedMlp`. */
  readonly stacks?: readonly Stack[];
  /** The matrix of the head [vocabulary, hidden]; for tied models the embedding's name. */
  readonly headWeight: string;
  /** The matrix of a scalar head [1, hidden], of a model that has one. */
  readonly scalarHead?: string;
  /** False: the scalar head stands in place of the language model's. Default true. */
  readonly languageHead?: boolean;
  /** Tensors of a checkpoint that this model does without. */
  readonly leftAside?: readonly string[];
  readonly rotary?: Rotary;
  /** Hidden states [rows, tokens, hidden] after the final norm. */
  body(m: ModelBuilder): Value;
  /** Logits [n, vocabulary] of hidden states [n, hidden]. */
  head(m: ModelBuilder, hidden: Value): Value;
}

/** A model family: one file per `model_type`. */
export interface Architecture {
  readonly modelType: string;
  /** @throws KelpieError naming the key when the config asks for arithmetic that is not here. */
  configure(raw: RawConfig): {
    readonly model: Model;
    readonly unknownKeys: readonly string[];
    readonly warnings: readonly string[];
  };
}

/** Standard deviation of fresh weights: `initializer_range`, which matters to a start from scratch alone. */
export function initializerRange({ json, file }: RawConfig): number {
  const value = json.initializer_range ?? 0.02;
  if (typeof value === 'number' && value >= 0 && Number.isFinite(value)) return value;
  throw new KelpieError(`expected a number of at least 0, got ${JSON.stringify(value)}`, {
    code: 'config-value',
    where: { file, key: 'initializer_range' },
  });
}
