import { z } from 'zod';
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
  storedDtype,
} from './config-keys.js';

export interface Gpt2Config extends ConfigBase {
  readonly modelType: 'gpt2';
  readonly hiddenSize: number;
  /** `n_inner`, or four times the hidden size. */
  readonly intermediateSize: number;
  readonly layers: number;
  readonly attentionHeads: number;
  readonly headDim: number;
  readonly activation: Activation;
  readonly maxPositionEmbeddings: number;
  readonly layerNormEps: number;
  /** Scores divided by sqrt(headDim). */
  readonly scaleAttention: boolean;
  /** Scores of layer i divided by i + 1 as well. */
  readonly scaleAttentionByInverseLayer: boolean;
}

/** Defaults are GPT2Config's of transformers 4.57.6 and 5.23.0. */
const schema = z.looseObject({
  ...baseShape,
  vocab_size: count.default(50257),
  n_positions: count.default(1024),
  n_embd: count.default(768),
  n_layer: layerCount.default(12),
  n_head: count.default(12),
  n_inner: count.nullish(),
  activation_function: z.string().default('gelu_new'),
  layer_norm_epsilon: epsilon.default(1e-5),
  scale_attn_weights: z.boolean().default(true),
  scale_attn_by_inverse_layer_idx: z.boolean().default(false),
  // Changes the order of rounding alone.
  reorder_and_upcast_attn: z.boolean().default(false),
  tie_word_embeddings: z.boolean().default(true),
});

const aliases = {
  hidden_size: 'n_embd',
  max_position_embeddings: 'n_positions',
  num_attention_heads: 'n_head',
  num_hidden_layers: 'n_layer',
} as const;

const family = {
  harmless: [
    'n_ctx',
    'resid_pdrop',
    'embd_pdrop',
    'attn_pdrop',
    'summary_type',
    'summary_use_proj',
    'summary_activation',
    'summary_proj_to_labels',
    'summary_first_dropout',
    'predict_special_tokens',
    'n_special',
  ],
  unsupported: {},
} as const;

export function parseGpt2Config(raw: RawConfig): Gpt2Config {
  const { file } = raw;
  const json = { ...raw.json };
  for (const [alias, name] of Object.entries(aliases)) {
    if (!Object.hasOwn(json, alias)) continue;
    if (Object.hasOwn(json, name) && json[name] !== json[alias]) {
      failConfig(
        `expected it to equal \`${name}\`, ${json[name]}, of which it is another name, got ${json[alias]}`,
        file,
        alias,
      );
    }
    json[name] = json[alias];
    delete json[alias];
  }
  const { values, unknownKeys } = checkKeys({ json, file }, schema, family);
  const { n_embd: hiddenSize, n_head: heads } = values;
  if (hiddenSize % heads !== 0)
    failConfig(`expected a multiple of ${heads} heads (\`n_head\`), got ${hiddenSize}`, file, 'n_embd');
  return {
    modelType: 'gpt2',
    vocabularySize: values.vocab_size,
    hiddenSize,
    intermediateSize: values.n_inner ?? 4 * hiddenSize,
    layers: values.n_layer,
    attentionHeads: heads,
    headDim: hiddenSize / heads,
    activation: parseActivation(values.activation_function, { file, key: 'activation_function' }),
    maxPositionEmbeddings: values.n_positions,
    layerNormEps: values.layer_norm_epsilon,
    scaleAttention: values.scale_attn_weights,
    scaleAttentionByInverseLayer: values.scale_attn_by_inverse_layer_idx,
    tieWordEmbeddings: values.tie_word_embeddings,
    ...storedDtype(json),
    unknownKeys,
    warnings: [],
  };
}
