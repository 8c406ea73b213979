import { stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { KelpieError } from '../errors.js';
import { writeFolderAtomic } from './atomic.js';
import { readJsonFile } from './json.js';
import { type PeftConfig, parsePeftConfig, peftConfigJson } from './peft-config.js';
import { type LinearModule, type LoraTarget, resolveTargets } from './peft-targets.js';
import { readSafetensors, type TensorSource } from './safetensors.js';
import { type TensorToWrite, type WritableDtype, writeSafetensors } from './safetensors-write.js';

export { type PeftConfig, parsePeftConfig } from './peft-config.js';
export { type LinearModule, type LoraTarget, resolveTargets } from './peft-targets.js';

/** One adapted layer: y = W x + scaling B A x; with magnitudes m, y = m/|W + scaling B A| (W + scaling B A) x, by rows. */
export interface LoraWeights {
  /** [rank, in] */
  readonly a: Float32Array;
  /** [out, rank] */
  readonly b: Float32Array;
  /** [out], of DoRA. */
  readonly magnitude?: Float32Array;
}

export interface PeftAdapter {
  readonly config: PeftConfig;
  readonly targets: readonly (LoraTarget & LoraWeights)[];
  readonly warnings: readonly string[];
}

const weightsFile = 'adapter_model.safetensors';

/** Names of a module's tensors in the file; the magnitudes are DoRA's. */
export function loraTensorNames(module: string): { a: string; b: string; magnitude: string } {
  const whole = `base_model.model.${module}`;
  return { a: `${whole}.lora_A.weight`, b: `${whole}.lora_B.weight`, magnitude: `${whole}.lora_magnitude_vector` };
}

/**
 * Reads a PEFT folder for a base model with these linear layers. Every tensor must be used, every target present, every
 * shape right: an adapter is never applied in part.
 */
export async function readPeft(folder: string, modules: readonly LinearModule[]): Promise<PeftAdapter> {
  const configFile = join(folder, 'adapter_config.json');
  const { config, warnings } = parsePeftConfig(await readJsonFile(configFile), configFile);
  const file = join(folder, weightsFile);
  await requireSafetensors(folder, file);
  const source = await readSafetensors(file);
  refuseOtherTensors(source, file, config);
  const { targets } = resolveTargets(config, modules, configFile);
  const used = new Set(targets.flatMap(({ module }) => Object.values(loraTensorNames(module.name))));
  const left = [...source.tensors.keys()].filter((name) => !used.has(name));
  if (left.length > 0) {
    throw new KelpieError(
      `the adapter holds ${left.length} tensors for no targeted linear layer of this model: is it another model's?`,
      { code: 'peft-tensors', where: { file, tensor: left[0]! } },
    );
  }
  const read: (LoraTarget & LoraWeights)[] = [];
  for (const target of targets) {
    const names = loraTensorNames(target.module.name);
    const a = await readShaped(source, names.a, [target.rank, target.module.inFeatures], file);
    const b = await readShaped(source, names.b, [target.module.outFeatures, target.rank], file);
    const magnitude = config.useDora
      ? { magnitude: await readShaped(source, names.magnitude, [target.module.outFeatures], file) }
      : {};
    read.push({ ...target, a, b, ...magnitude });
  }
  return { config, targets: read, warnings };
}

async function readShaped(
  source: TensorSource,
  name: string,
  shape: readonly number[],
  file: string,
): Promise<Float32Array> {
  const entry = source.tensors.get(name);
  const expected = `[${shape.join(', ')}]`;
  if (entry === undefined) {
    throw new KelpieError(
      `the config targets this layer, so a tensor of shape ${expected} is expected, but there is none`,
      {
        code: 'peft-tensors',
        where: { file, tensor: name },
      },
    );
  }
  if (entry.shape.length !== shape.length || entry.shape.some((size, i) => size !== shape[i])) {
    throw new KelpieError(
      `expected shape ${expected} by the config's rank and the base model, got [${entry.shape.join(', ')}]`,
      {
        code: 'peft-tensors',
        where: { file, tensor: name },
      },
    );
  }
  return source.read(name);
}

const otherTensors: readonly [RegExp, string][] = [
  [/\.lora_embedding_[AB]$/, 'an adapter on an embedding, which is not supported'],
  [/\.lora_B\.bias$/, 'a bias on lora_B, which is not supported'],
  [
    /^(?!.*\.(lora_[AB]\.weight|lora_magnitude_vector)$)/,
    'a base weight that was trained as a whole, which is not supported',
  ],
];

function refuseOtherTensors(source: TensorSource, file: string, { useDora }: PeftConfig): void {
  for (const name of source.tensors.keys()) {
    if (!useDora && name.endsWith('.lora_magnitude_vector')) {
      throw new KelpieError('the adapter holds magnitudes of DoRA, but its config does not say `use_dora`', {
        code: 'peft-tensors',
        where: { file, tensor: name },
      });
    }
    const found = otherTensors.find(([pattern]) => pattern.test(name));
    if (found === undefined) continue;
    throw new KelpieError(`the adapter holds ${found[1]}: only lora_A and lora_B of linear layers are`, {
      code: 'peft-unsupported',
      where: { file, tensor: name },
    });
  }
}

async function requireSafetensors(folder: string, file: string): Promise<void> {
  const exists = async (path: string) => (await stat(path).catch(() => undefined)) !== undefined;
  if (await exists(file)) return;
  const pickled = await exists(join(folder, 'adapter_model.bin'));
  throw new KelpieError(
    pickled
      ? `expected \`${weightsFile}\`, got \`adapter_model.bin\`, a Python pickle: save the adapter again with safe_serialization`
      : `expected \`${weightsFile}\` beside adapter_config.json`,
    { code: 'file-missing', where: { file } },
  );
}

export interface PeftToWrite {
  readonly config: PeftConfig;
  readonly targets: readonly ({ readonly module: LinearModule } & LoraWeights)[];
}

/** Writes a PEFT folder, whole or not at all; `addFiles` may put more beside it. */
export async function writePeft(
  folder: string,
  adapter: PeftToWrite,
  options: { readonly dtype?: WritableDtype; readonly addFiles?: (temporaryFolder: string) => Promise<void> } = {},
): Promise<void> {
  await writeFolderAtomic(folder, async (temporary) => {
    await writePeftFiles(temporary, adapter, options);
    await options.addFiles?.(temporary);
  });
}

/** The two files alone, into a folder that somebody else makes appear. */
export async function writePeftFiles(
  folder: string,
  { config, targets }: PeftToWrite,
  { dtype = 'F32' }: { readonly dtype?: WritableDtype } = {},
): Promise<void> {
  checkWritten(config, targets, folder);
  await writeFile(join(folder, 'adapter_config.json'), `${JSON.stringify(peftConfigJson(config), null, 2)}\n`);
  const tensors = targets.flatMap(({ module, a, b, magnitude }): TensorToWrite[] => {
    const names = loraTensorNames(module.name);
    const rank = a.length / module.inFeatures;
    return [
      { name: names.a, shape: [rank, module.inFeatures], data: a },
      { name: names.b, shape: [module.outFeatures, rank], data: b },
      ...(magnitude ? [{ name: names.magnitude, shape: [module.outFeatures], data: magnitude }] : []),
    ];
  });
  await writeSafetensors(join(folder, weightsFile), tensors, { dtype });
}

/** What is written must be read back as the same: the config's rules give these modules these ranks. */
function checkWritten(config: PeftConfig, targets: PeftToWrite['targets'], folder: string): void {
  const resolved = new Map(
    resolveTargets(
      config,
      targets.map(({ module }) => module),
    ).targets.map(({ module, rank }) => [module.name, rank]),
  );
  for (const { module, a, b, magnitude } of targets) {
    const rank = resolved.get(module.name);
    const fits = a.length === (rank ?? 0) * module.inFeatures && b.length === (rank ?? 0) * module.outFeatures;
    const magnitudes = config.useDora ? module.outFeatures : 0;
    if (rank !== undefined && fits && (magnitude?.length ?? 0) === magnitudes) continue;
    throw new KelpieError(
      rank === undefined
        ? 'the config does not target this module'
        : fits
          ? `expected ${magnitudes} magnitudes, got ${magnitude?.length ?? 0}`
          : `expected [${rank}, ${module.inFeatures}] and [${module.outFeatures}, ${rank}] numbers, got ${a.length} and ${b.length}`,
      { code: 'peft-write', where: { folder, module: module.name } },
    );
  }
}
