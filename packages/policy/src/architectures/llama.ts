import { type Architecture, initializerRange, type Model } from '../architecture.js';
import { type LlamaConfig, parseLlamaConfig } from '../files/config.js';
import type { LinearModule, Parameter } from '../parameters.js';
import { ropeClass, ropeFrequencies, ropeVaries } from '../rope.js';

/** Llama 1 to 3 and their kin: RMS norms, rotary positions, grouped queries, gated MLP. */
export const llama: Architecture = {
  modelType: 'llama',
  configure(raw) {
    const config = parseLlamaConfig(raw);
    return {
      model: llamaModel(config, initializerRange(raw)),
      unknownKeys: config.unknownKeys,
      warnings: config.warnings,
    };
  },
};

function llamaModel(config: LlamaConfig, std: number): Model {
  const { hiddenSize, attentionHeads: heads, keyValueHeads: kvHeads, headDim, layers } = config;
  const embedding = 'model.embed_tokens.weight';
  const headWeight = config.tieWordEmbeddings ? embedding : 'lm_head.weight';
  const { linears, biased } = linearsOf(config);
  return {
    dimensions: {
      vocabularySize: config.vocabularySize,
      hiddenSize,
      contextLength: config.maxPositionEmbeddings,
      layers,
      kvHeads,
      headDim,
    },
    parameters: parametersOf(config, std, embedding, linears, biased),
    linears,
    stacks: Array.from({ length: layers }, (_, i) => `model.layers.${i}`).flatMap((layer) =>
      [attentionInputs(layer), mlpInputs(layer)].map((modules) => modules.map((module) => `${module}.weight`)),
    ),
    headWeight,
    rotary: {
      dim: headDim,
      varies: ropeVaries(config.rope),
      classOf: (length) => ropeClass(config.rope, length),
      frequencies: (length) => ropeFrequencies(config.rope, length),
    },
    body(m) {
      let x = m.lookup(embedding, 'ids');
      for (let i = 0; i < layers; i++) {
        const layer = `model.layers.${i}`;
        x = m.g.scope(layer, () => {
          const normed = m.rmsNorm(x, `${layer}.input_layernorm`, config.rmsNormEps);
          const [queries, keys, v] = m.linears(normed, attentionInputs(layer));
          const q = m.rotate(queries!, { heads, headDim });
          const k = m.rotate(keys!, { heads: kvHeads, headDim });
          const mixed = m.attention({ q, k, v: v!, heads, kvHeads, headDim, scale: headDim ** -0.5 });
          const middle = m.g.add(x, m.linear(mixed, `${layer}.self_attn.o_proj`));
          const inner = m.rmsNorm(middle, `${layer}.post_attention_layernorm`, config.rmsNormEps);
          const [gate, up] = mlpInputs(layer);
          return m.g.add(middle, m.gatedMlp(inner, { gate, up, down: `${layer}.mlp.down_proj` }, config.activation));
        });
      }
      return m.rmsNorm(x, 'model.norm', config.rmsNormEps);
    },
    head: (m, hidden) => m.project(hidden, headWeight),
  };
}

const attentionInputs = (layer: string) => ['q', 'k', 'v'].map((which) => `${layer}.self_attn.${which}_proj`);
const mlpInputs = (layer: string) => [`${layer}.mlp.gate_proj`, `${layer}.mlp.up_proj`] as const;

function linearsOf(config: LlamaConfig): { linears: LinearModule[]; biased: ReadonlySet<string> } {
  const {
    hiddenSize,
    attentionHeads: heads,
    keyValueHeads: kvHeads,
    headDim,
    intermediateSize,
    attentionBias,
    mlpBias,
  } = config;
  const linears: LinearModule[] = [];
  const biased = new Set<string>();
  for (let i = 0; i < config.layers; i++) {
    const put = (name: string, inFeatures: number, outFeatures: number, bias: boolean) => {
      const module = `model.layers.${i}.${name}`;
      linears.push({ name: module, inFeatures, outFeatures, transposed: false });
      if (bias) biased.add(module);
    };
    put('self_attn.q_proj', hiddenSize, heads * headDim, attentionBias);
    put('self_attn.k_proj', hiddenSize, kvHeads * headDim, attentionBias);
    put('self_attn.v_proj', hiddenSize, kvHeads * headDim, attentionBias);
    put('self_attn.o_proj', heads * headDim, hiddenSize, attentionBias);
    put('mlp.gate_proj', hiddenSize, intermediateSize, mlpBias);
    put('mlp.up_proj', hiddenSize, intermediateSize, mlpBias);
    put('mlp.down_proj', intermediateSize, hiddenSize, mlpBias);
  }
  return { linears, biased };
}

function parametersOf(
  config: LlamaConfig,
  std: number,
  embedding: string,
  linears: readonly LinearModule[],
  biased: ReadonlySet<string>,
): Parameter[] {
  const { vocabularySize, hiddenSize } = config;
  // Files saved from the model without its head leave `model.` out.
  const named = (name: string): Pick<Parameter, 'name' | 'aliases'> => ({
    name,
    aliases: [name.replace(/^model\./, '')],
  });
  const norm = (name: string): Parameter => ({
    ...named(`${name}.weight`),
    shape: [hiddenSize],
    kind: 'norm',
    init: { constant: 1 },
  });
  const parameters: Parameter[] = [
    {
      name: embedding,
      aliases: ['embed_tokens.weight', ...(config.tieWordEmbeddings ? ['lm_head.weight'] : [])],
      shape: [vocabularySize, hiddenSize],
      kind: 'embedding',
      init: { std },
    },
  ];
  for (const { name, inFeatures, outFeatures } of linears) {
    parameters.push({ ...named(`${name}.weight`), shape: [outFeatures, inFeatures], kind: 'matrix', init: { std } });
    if (biased.has(name))
      parameters.push({ ...named(`${name}.bias`), shape: [outFeatures], kind: 'bias', init: { constant: 0 } });
  }
  for (let i = 0; i < config.layers; i++) {
    parameters.push(norm(`model.layers.${i}.input_layernorm`), norm(`model.layers.${i}.post_attention_layernorm`));
  }
  parameters.push(norm('model.norm'));
  if (!config.tieWordEmbeddings) {
    parameters.push({ name: 'lm_head.weight', shape: [vocabularySize, hiddenSize], kind: 'matrix', init: { std } });
  }
  return parameters;
}
