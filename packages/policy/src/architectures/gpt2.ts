import { type Architecture, initializerRange, type Model } from '../architecture.js';
import { type Gpt2Config, parseGpt2Config } from '../files/config.js';
import type { LinearModule, Parameter } from '../parameters.js';

/** GPT-2: layer norms, learned positions, one fused query-key-value matrix, matrices stored [in, out]. */
export const gpt2: Architecture = {
  modelType: 'gpt2',
  configure(raw) {
    const config = parseGpt2Config(raw);
    return {
      model: gpt2Model(config, initializerRange(raw)),
      unknownKeys: config.unknownKeys,
      warnings: config.warnings,
    };
  },
};

function gpt2Model(config: Gpt2Config, std: number): Model {
  const { hiddenSize, attentionHeads: heads, layers, headDim, layerNormEps: epsilon } = config;
  const embedding = 'transformer.wte.weight';
  const headWeight = config.tieWordEmbeddings ? embedding : 'lm_head.weight';
  const linears = linearsOf(config);
  return {
    dimensions: {
      vocabularySize: config.vocabularySize,
      hiddenSize,
      contextLength: config.maxPositionEmbeddings,
      layers,
      kvHeads: heads,
      headDim,
    },
    parameters: parametersOf(config, std, embedding, linears),
    linears,
    headWeight,
    body(m) {
      const transposed = { transposed: true };
      let x = m.g.add(m.lookup(embedding, 'ids'), m.lookup('transformer.wpe.weight', 'positions'));
      for (let i = 0; i < layers; i++) {
        const layer = `transformer.h.${i}`;
        x = m.g.scope(layer, () => {
          const qkv = m.linear(m.layerNorm(x, `${layer}.ln_1`, epsilon), `${layer}.attn.c_attn`, transposed);
          const [q, k, v] = m.g.split(qkv, [hiddenSize, hiddenSize, hiddenSize], 2);
          const mixed = m.attention({
            q: q!,
            k: k!,
            v: v!,
            heads,
            kvHeads: heads,
            headDim,
            scale: scaleOf(config, headDim, i),
          });
          const middle = m.g.add(x, m.linear(mixed, `${layer}.attn.c_proj`, transposed));
          const wide = m.linear(m.layerNorm(middle, `${layer}.ln_2`, epsilon), `${layer}.mlp.c_fc`, transposed);
          return m.g.add(middle, m.linear(m.activation(wide, config.activation), `${layer}.mlp.c_proj`, transposed));
        });
      }
      return m.layerNorm(x, 'transformer.ln_f', epsilon);
    },
    head: (m, hidden) => m.project(hidden, headWeight),
  };
}

function scaleOf({ scaleAttention, scaleAttentionByInverseLayer }: Gpt2Config, headDim: number, layer: number): number {
  return (scaleAttention ? headDim ** -0.5 : 1) / (scaleAttentionByInverseLayer ? layer + 1 : 1);
}

function linearsOf({ hiddenSize, intermediateSize, layers }: Gpt2Config): LinearModule[] {
  return Array.from({ length: layers }, (_, i) => {
    const linear = (name: string, inFeatures: number, outFeatures: number): LinearModule => ({
      name: `transformer.h.${i}.${name}`,
      inFeatures,
      outFeatures,
      transposed: true,
    });
    return [
      linear('attn.c_attn', hiddenSize, 3 * hiddenSize),
      linear('attn.c_proj', hiddenSize, hiddenSize),
      linear('mlp.c_fc', hiddenSize, intermediateSize),
      linear('mlp.c_proj', intermediateSize, hiddenSize),
    ];
  }).flat();
}

function parametersOf(
  config: Gpt2Config,
  std: number,
  embedding: string,
  linears: readonly LinearModule[],
): Parameter[] {
  const { vocabularySize, hiddenSize, layers } = config;
  // Checkpoints of the hub leave `transformer.` out.
  const named = (name: string): Pick<Parameter, 'name' | 'aliases'> => ({
    name,
    aliases: [name.replace(/^transformer\./, '')],
  });
  const norm = (name: string): Parameter[] => [
    { ...named(`${name}.weight`), shape: [hiddenSize], kind: 'norm', init: { constant: 1 } },
    { ...named(`${name}.bias`), shape: [hiddenSize], kind: 'bias', init: { constant: 0 } },
  ];
  const parameters: Parameter[] = [
    {
      name: embedding,
      aliases: ['wte.weight', ...(config.tieWordEmbeddings ? ['lm_head.weight'] : [])],
      shape: [vocabularySize, hiddenSize],
      kind: 'embedding',
      init: { std },
    },
    {
      ...named('transformer.wpe.weight'),
      shape: [config.maxPositionEmbeddings, hiddenSize],
      kind: 'embedding',
      init: { std },
    },
  ];
  for (const { name, inFeatures, outFeatures } of linears) {
    // The paper's initialisation: what is added to the residual stream starts smaller by sqrt(2 layers).
    const residual = name.endsWith('c_proj') ? std / Math.sqrt(2 * layers) : std;
    parameters.push(
      { ...named(`${name}.weight`), shape: [inFeatures, outFeatures], kind: 'matrix', init: { std: residual } },
      { ...named(`${name}.bias`), shape: [outFeatures], kind: 'bias', init: { constant: 0 } },
    );
  }
  for (let i = 0; i < layers; i++)
    parameters.push(...norm(`transformer.h.${i}.ln_1`), ...norm(`transformer.h.${i}.ln_2`));
  parameters.push(...norm('transformer.ln_f'));
  if (!config.tieWordEmbeddings) {
    parameters.push({ name: 'lm_head.weight', shape: [vocabularySize, hiddenSize], kind: 'matrix', init: { std } });
  }
  return parameters;
}
