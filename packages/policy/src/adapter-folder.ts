import type { Model } from './architecture.js';
import { type PeftConfig, readPeft, writePeftFiles } from './files/peft.js';
import { loraA, loraB, loraMagnitude } from './model-builder.js';
import type { OpenedModel } from './model-folder.js';
import type { FloatArray, LoraModule, Weights } from './parameters.js';
import type { Arithmetic } from './weights.js';

export interface OpenedAdapter {
  readonly config: PeftConfig;
  readonly modules: LoraModule[];
  readonly weights: Weights;
  readonly warnings: readonly string[];
}

/** A PEFT folder over a model. */
export async function openAdapter(folder: string, model: Model, dtype: Arithmetic): Promise<OpenedAdapter> {
  const { config, targets, warnings } = await readPeft(folder, model.linears);
  const weights: Weights = new Map();
  const as = (data: Float32Array): FloatArray => (dtype === 'float64' ? Float64Array.from(data) : data);
  for (const { module, rank, a, b, magnitude } of targets) {
    weights.set(loraA(module.name), { shape: [rank, module.inFeatures], data: as(a) });
    weights.set(loraB(module.name), { shape: [module.outFeatures, rank], data: as(b) });
    if (magnitude) weights.set(loraMagnitude(module.name), { shape: [module.outFeatures], data: as(magnitude) });
  }
  return {
    config,
    modules: targets.map(({ module, rank, scaling }) => ({
      module: module.name,
      rank,
      scaling,
      dora: config.useDora,
    })),
    weights,
    warnings,
  };
}

/** Writes the adapter's files into a folder that exists. */
export async function saveAdapter({ peft, lora, model, weights }: OpenedModel, folder: string): Promise<void> {
  const linears = new Map(model.linears.map((linear) => [linear.name, linear]));
  const float32 = (name: string) => Float32Array.from(weights.get(name)!.data);
  const targets = lora.map(({ module, dora }) => ({
    module: linears.get(module)!,
    a: float32(loraA(module)),
    b: float32(loraB(module)),
    ...(dora && { magnitude: float32(loraMagnitude(module)) }),
  }));
  await writePeftFiles(folder, { config: peft!, targets });
}
