import type { Model } from './architecture.js';
import { KelpieError } from './errors.js';
import { type PeftConfig, resolveTargets } from './files/peft.js';
import { loraA, loraB, loraMagnitude } from './model-builder.js';
import type { LoraModule, Weights } from './parameters.js';
import { uniforms } from './random.js';
import type { LoraOptions } from './types.js';
import { type Arithmetic, allocate } from './weights.js';

/** What peft would write down for these options. */
export function peftConfigOf(
  { rank, alpha, rslora = false, dora = false, targetModules }: LoraOptions,
  { linears }: Model,
  base?: string,
): PeftConfig {
  if (!Number.isInteger(rank) || rank < 1) {
    throw new KelpieError(`LoRA's rank must be a whole number of at least 1, got ${rank}`, { code: 'lora-rank' });
  }
  if (!(alpha > 0)) throw new KelpieError(`LoRA's alpha must be above 0, got ${alpha}`, { code: 'lora-alpha' });
  return {
    r: rank,
    loraAlpha: alpha,
    targetModules:
      targetModules === 'all-linear' ? linears.filter(({ head }) => !head).map(({ name }) => name) : targetModules,
    rankPattern: {},
    alphaPattern: {},
    useRslora: rslora,
    useDora: dora,
    fanInFanOut: linears.some(({ transposed }) => transposed),
    taskType: 'CAUSAL_LM',
    ...(base === undefined ? {} : { baseModelNameOrPath: base }),
  };
}

/** The modules an adapter sits on. @throws KelpieError when a name of the list fits no module. */
export function loraModules(config: PeftConfig, { linears }: Model): LoraModule[] {
  const { targets, unmatched } = resolveTargets(config, linears);
  if (unmatched.length > 0) {
    const endings = [...new Set(linears.map(({ name }) => name.slice(name.lastIndexOf('.') + 1)))];
    throw new KelpieError(
      `no linear module is called ${unmatched.map((name) => `\`${name}\``).join(', ')}; there are ${endings.join(', ')}`,
      {
        code: 'lora-target',
      },
    );
  }
  return targets.map(({ module, rank, scaling }) => ({ module: module.name, rank, scaling, dora: config.useDora }));
}

/**
 * Fresh adapters, as PEFT starts them: A uniform within 1 / sqrt(in), B zero, so that the policy is its base. DoRA's
 * magnitudes are left 0: they are the norms that the model starts with.
 */
export function initialLora(
  modules: readonly LoraModule[],
  { linears }: Model,
  dtype: Arithmetic,
  seed: number,
): Weights {
  const byName = new Map(linears.map((linear) => [linear.name, linear]));
  const weights: Weights = new Map();
  for (const { module, rank, dora } of modules) {
    const { inFeatures, outFeatures } = byName.get(module)!;
    const a = allocate(dtype, rank * inFeatures);
    const uniform = uniforms(seed, loraA(module));
    const bound = 1 / Math.sqrt(inFeatures);
    for (let i = 0; i < a.length; i++) a[i] = Math.fround((2 * uniform() - 1) * bound);
    weights.set(loraA(module), { shape: [rank, inFeatures], data: a });
    weights.set(loraB(module), { shape: [outFeatures, rank], data: allocate(dtype, outFeatures * rank) });
    if (dora) weights.set(loraMagnitude(module), { shape: [outFeatures], data: allocate(dtype, outFeatures) });
  }
  return weights;
}

/** The base's weights with scaling * B A added where an adapter sits; DoRA's rows brought to their magnitudes. */
export function mergeLora(modules: readonly LoraModule[], { linears }: Model, weights: Weights): Weights {
  const byName = new Map(linears.map((linear) => [linear.name, linear]));
  const merged: Weights = new Map(weights);
  for (const { module, rank, scaling, dora } of modules) {
    const { inFeatures, outFeatures, transposed } = byName.get(module)!;
    const a = weights.get(loraA(module))!.data;
    const b = weights.get(loraB(module))!.data;
    const base = weights.get(`${module}.weight`)!;
    const magnitudes = dora ? weights.get(loraMagnitude(module))!.data : undefined;
    const data = base.data.slice();
    const row = new Float64Array(inFeatures);
    for (let o = 0; o < outFeatures; o++) {
      const at = (i: number) => (transposed ? i * outFeatures + o : o * inFeatures + i);
      for (let i = 0; i < inFeatures; i++) {
        let sum = 0;
        for (let r = 0; r < rank; r++) sum += b[o * rank + r]! * a[r * inFeatures + i]!;
        row[i] = data[at(i)]! + scaling * sum;
      }
      const factor = magnitudes === undefined ? 1 : magnitudes[o]! / Math.hypot(...row);
      for (let i = 0; i < inFeatures; i++) data[at(i)] = factor * row[i]!;
    }
    merged.set(`${module}.weight`, { shape: base.shape, data });
  }
  return merged;
}
