import { z } from 'zod';
import type { RopeConfig } from '../rope.js';
import { type Activation, parseActivation } from './activations.js';
import type { RawConfig } from './config-file.js';
import {
  baseShape,
  type ConfigBase,
  checkKeys,
  count,
  epsilon,
  failConfig,
  layerCount,
  offByDefault,
  storedDtype,
} from './config-keys.js';
import { parseRope } from './rope-config.js';

export interface LlamaConfig extends ConfigBase {
  readonly modelType: 'llama';
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly layers: number;
  readonly attentionHeads: number;
  readonly keyValueHeads: number;
  readonly headDim: number;
  readonly activation: Activation;
  readonly maxPositionEmbeddings: number;
  readonly rmsNormEps: number;
  /** Biases on q, k, v and o. */
  readonly attentionBias: boolean;
  /** Biases on gate, up and down. */
  readonly mlpBias: boolean;
  readonly rope: RopeConfig;
}

/** Defaults are LlamaConfig's of transformers 4.57.6 and 5.23.0. */
const schema = z.looseObject({
  ...baseShape,
  vocab_size: count.default(32000),
  hidden_size: count.default(4096),
  intermediate_size: count.default(11008),
  num_hidden_layers: layerCount.default(32),
  num_attention_heads: count.default(32),
  num_key_value_heads: count.nullish(),
  head_dim: count.nullish(),
  hidden_act: z.string().default('silu'),
  max_position_embeddings: count.default(2048),
  rms_norm_eps: epsilon.default(1e-6),
  attention_bias: offByDefault,
  mlp_bias: offByDefault,
  tie_word_embeddings: offByDefault,
});

const family = {
  // pretraining_tp splits the same sums into pieces.
  harmless: [
    'pretraining_tp',
    'rope_theta',
    'rope_scaling',
    'rope_parameters',
    'original_max_position_embeddings',
    'use_sliding_window',
    'max_window_layers',
  ],
  unsupported: {
    layer_types: {
      ok: (value: unknown) =>
        value === null || (Array.isArray(value) && value.every((type) => type === 'full_attention')),
      why: 'layers that do not see the whole row',
    },
  },
} as const;

export function parseLlamaConfig(raw: RawConfig): LlamaConfig {
  const { json, file } = raw;
  const { values, unknownKeys } = checkKeys(raw, schema, withWindow(raw));
  const heads = values.num_attention_heads;
  const keyValueHeads = values.num_key_value_heads ?? heads;
  if (heads % keyValueHeads !== 0) {
    failConfig(
      `expected ${heads} attention heads to be a multiple of the key/value heads, got ${keyValueHeads}`,
      file,
      'num_key_value_heads',
    );
  }
  if (values.head_dim == null && values.hidden_size % heads !== 0) {
    failConfig(
      `expected a multiple of ${heads} attention heads, or a \`head_dim\`, got ${values.hidden_size}`,
      file,
      'hidden_size',
    );
  }
  const headDim = values.head_dim ?? values.hidden_size / heads;
  const { rope, warnings } = parseRope(raw, { headDim, maxPositionEmbeddings: values.max_position_embeddings });
  if (rope.partialRotaryFactor !== 1 && rope.type !== 'proportional') {
    failConfig(
      `expected 1 in a llama, which rotates whole heads, got ${rope.partialRotaryFactor}`,
      file,
      'partial_rotary_factor',
    );
  }
  return {
    modelType: 'llama',
    vocabularySize: values.vocab_size,
    hiddenSize: values.hidden_size,
    intermediateSize: values.intermediate_size,
    layers: values.num_hidden_layers,
    attentionHeads: heads,
    keyValueHeads,
    headDim,
    activation: parseActivation(values.hidden_act, { file, key: 'hidden_act' }),
    maxPositionEmbeddings: values.max_position_embeddings,
    rmsNormEps: values.rms_norm_eps,
    attentionBias: values.attention_bias,
    mlpBias: values.mlp_bias,
    tieWordEmbeddings: values.tie_word_embeddings,
    rope,
    ...storedDtype(json),
    unknownKeys: unknownKeys.filter((key) => key !== 'partial_rotary_factor'),
    warnings,
  };
}

/** A window that no row can outgrow, or that is switched off, changes nothing. */
function withWindow({ json }: RawConfig) {
  const length = typeof json.max_position_embeddings === 'number' ? json.max_position_embeddings : 2048;
  const ok = (value: unknown) =>
    value === null || json.use_sliding_window === false || (typeof value === 'number' && value >= length);
  const why =
    'a sliding window in a llama, which transformers ignores and others apply: remove the key, or use model_type mistral';
  return { ...family, unsupported: { ...family.unsupported, sliding_window: { ok, why } } };
}
