import { existsSync } from 'node:fs';
import { copyFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { encodeModel } from '@kelpie/onnx';
import { openAdapter, saveAdapter } from './adapter-folder.js';
import { type Architecture, initializerRange, type Model } from './architecture.js';
import * as all from './architectures/index.js';
import { KelpieError, nearestNames } from './errors.js';
import { writeFolderAtomic } from './files/atomic.js';
import { type RawConfig, readConfig } from './files/config.js';
import type { PeftConfig } from './files/peft.js';
import { readSafetensors } from './files/safetensors.js';
import { writeSafetensors } from './files/safetensors-write.js';
import { initialLora, loraModules, mergeLora, peftConfigOf } from './lora.js';
import { loraA, loraB, loraMagnitude, loraNorm, ModelBuilder } from './model-builder.js';
import type { LoraModule, Parameter, Weights } from './parameters.js';
import { Passes } from './passes.js';
import { requireSameTokens } from './same-tokens.js';
import { classifierConfig, isClassifier, labelsOf, SCALAR_HEAD, withScalarHead } from './scalar-head.js';
import { soupParts, soupWeights } from './soup.js';
import { moveTogether } from './stacks.js';
import type { OpenOptions, SaveOptions } from './types.js';
import { type Arithmetic, initialWeights, loadWeights } from './weights.js';

const architectures = new Map(
  (Object.values(all) as Architecture[]).map((architecture) => [architecture.modelType, architecture]),
);

/** A model in memory: arithmetic, weights (the adapter's among them) and what is trained. */
export interface OpenedModel {
  readonly modelType: string;
  readonly model: Model;
  /** config.json as it stood. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly unknownKeys: readonly string[];
  readonly warnings: readonly string[];
  readonly weights: Weights;
  readonly lora: readonly LoraModule[];
  /** The adapter's config, as peft writes it. */
  readonly peft?: PeftConfig;
  readonly freshAdapter: boolean;
  /** Names of the tensors that are trained. */
  readonly trained: readonly string[];
  /** The folder the base came from; absent for one started from a config. */
  readonly folder?: string;
  /** Weights of another folder that was named as the reference. */
  readonly reference?: Weights;
  /** The opened weights are the reference: until the first update. */
  readonly weightsAreReference: boolean;
}

/** Files beside the weights that belong to a model: copied when it is saved. */
const COMPANIONS =
  /^(tokenizer\.json|tokenizer_config\.json|special_tokens_map\.json|added_tokens\.json|vocab\.json|merges\.txt|chat_template\.(jinja|json)|generation_config\.json)$/;

/** Beside an adapter: the scalar head that was trained with it. */
const HEAD_FILE = 'scalar-head.safetensors';

export async function openModel(options: OpenOptions, dtype: Arithmetic): Promise<OpenedModel> {
  if ((options.model === undefined) === (options.init === undefined)) {
    throw new KelpieError('give either a model folder or a config to start from', { code: 'open' });
  }
  if (options.lora !== undefined && options.adapter !== undefined) {
    throw new KelpieError('give either the options of a fresh LoRA or an adapter folder', { code: 'open' });
  }
  if (options.reference !== undefined && (options.keepReference ?? false) !== false) {
    throw new KelpieError('give either a reference folder or keepReference, which makes the start the reference', {
      code: 'open',
    });
  }
  const raw = await readConfig(options.model ?? options.init!.config);
  const configured = configure(raw);
  const { architecture, unknownKeys } = configured;
  const model = headed(configured.model, raw, options);
  const { weights, fileNames } =
    options.model === undefined
      ? { weights: initialWeights(model, dtype, options.init!.seed), fileNames: undefined }
      : await loadWeights(options.model, model, dtype, options.scalarHeadSeed);
  if (options.scalarHeadFile !== undefined) await readScalarHead(options.scalarHeadFile, weights);
  const fresh = options.scalarHeadFile === undefined && fileNames?.has(SCALAR_HEAD) === false;
  const warnings = [
    ...configured.warnings,
    ...(model.scalarHead !== undefined && fresh
      ? [`there is no \`${SCALAR_HEAD}\` in the folder: it starts fresh`]
      : []),
  ];
  const base = {
    modelType: architecture.modelType,
    model,
    config: raw.json,
    unknownKeys,
    warnings,
    weights,
    weightsAreReference: true,
    ...(options.model === undefined ? {} : { folder: options.model }),
    ...(options.reference === undefined ? {} : { reference: await openReference(options, model, dtype) }),
  };
  for (const frozen of [base.reference, ...((options.adapter ?? options.lora) ? [weights] : [])]) {
    if (frozen !== undefined) moveTogether(frozen, model.stacks ?? [], dtype);
  }
  if (options.adapter !== undefined) {
    const adapter = await openAdapter(options.adapter, model, dtype);
    const head = join(options.adapter, HEAD_FILE);
    if (options.scalarHeadFile === undefined && model.scalarHead !== undefined && existsSync(head)) {
      await readScalarHead(head, weights);
    }
    return {
      ...base,
      ...withAdapter(weights, adapter.modules, adapter.weights),
      peft: adapter.config,
      warnings: [...warnings, ...adapter.warnings],
      freshAdapter: false,
    };
  }
  if (options.lora !== undefined) {
    const peft = peftConfigOf(options.lora, model, options.model);
    const modules = loraModules(peft, model);
    const fresh = initialLora(modules, model, dtype, options.lora.seed ?? 0);
    const adapted = withAdapter(weights, modules, fresh);
    await startMagnitudes(adapted, model, dtype);
    return { ...base, ...adapted, peft, freshAdapter: true };
  }
  return { ...base, lora: [], freshAdapter: false, trained: model.parameters.map(({ name }) => name) };
}

/** With the scalar head that the options ask for, or that the config has. */
function headed(model: Model, raw: RawConfig, { scalarHead, scalarHeadFile, scalarHeadStd }: OpenOptions): Model {
  const classifier = isClassifier(raw);
  const place = scalarHead ?? (classifier ? 'alone' : undefined);
  if (place === undefined) {
    if (scalarHeadFile === undefined) return model;
    throw new KelpieError('`scalarHeadFile` is given without `scalarHead`', { code: 'open' });
  }
  if (classifier && place === 'beside') {
    throw new KelpieError('a sequence classifier has no language model head for a scalar one to stand beside', {
      code: 'open',
      where: { file: raw.file },
    });
  }
  const labels = labelsOf(raw);
  if (classifier && labels !== 1) {
    throw new KelpieError(`expected a sequence classifier with one label, got ${labels}`, {
      code: 'config-unsupported',
      where: { file: raw.file, key: 'id2label' },
    });
  }
  return withScalarHead(model, { place, std: scalarHeadStd ?? initializerRange(raw), fresh: !classifier });
}

async function readScalarHead(file: string, weights: Weights): Promise<void> {
  const source = await readSafetensors(file);
  const { shape, data } = weights.get(SCALAR_HEAD)!;
  const found = source.tensors.get(SCALAR_HEAD);
  if (found === undefined || found.shape.join() !== shape.join()) {
    const got = found === undefined ? 'nothing' : `[${found.shape.join(', ')}]`;
    throw new KelpieError(`expected \`${SCALAR_HEAD}\` [${shape.join(', ')}], got ${got}`, {
      code: 'weights',
      where: { file },
    });
  }
  data.set(await source.readFloat64(SCALAR_HEAD));
}

/** The reference runs through the policy's own graphs: its config must ask for the same arithmetic. */
async function openReference(
  { model: start, reference }: OpenOptions,
  model: Model,
  dtype: Arithmetic,
): Promise<Weights> {
  const parts = soupParts(reference!);
  const opened = new Map<string, Model>();
  for (const { model: folder } of parts) {
    const own = configure(await readConfig(folder)).model;
    if (arithmeticOf(own) !== arithmeticOf(model)) {
      throw new KelpieError(
        "the reference computes otherwise than the policy: its config.json must be the policy's, weights apart",
        { code: 'reference-arithmetic', where: { folder } },
      );
    }
    opened.set(folder, own);
  }
  await requireSameTokens([...(start === undefined ? [] : [start]), ...opened.keys()]);
  return soupWeights(parts, async (folder) => (await loadWeights(folder, opened.get(folder)!, dtype)).weights, dtype);
}

/** Equal for models that compute the same from the same weights, whatever the style of their configs. */
function arithmeticOf({ parameters, rotary, dimensions, body, head, languageHead = true }: Model): string {
  const m = new ModelBuilder({ parameters, mode: { kind: 'sequence', present: false }, dtype: 'float32' });
  m.g.output('hidden', body(m));
  if (languageHead) m.g.output('logits', head(m, m.g.input('rows', m.g.dtype, ['scored', dimensions.hiddenSize])));
  const angles = [1, dimensions.contextLength, 2 * dimensions.contextLength].map((length) =>
    rotary?.frequencies(length),
  );
  const tables = angles.map((angle) => angle && [...angle.inverseFrequencies, angle.attentionScaling]);
  return `${Buffer.from(encodeModel(m.g.build())).toString('base64')}/${JSON.stringify([dimensions, tables])}`;
}

function withAdapter(
  weights: Weights,
  lora: readonly LoraModule[],
  adapter: Weights,
): Pick<OpenedModel, 'lora' | 'weights' | 'trained'> {
  return {
    lora,
    weights: new Map([...weights, ...adapter]),
    trained: lora
      .flatMap(({ module, dora }) => [loraA(module), loraB(module), ...(dora ? [loraMagnitude(module)] : [])])
      .concat(weights.has(SCALAR_HEAD) ? [SCALAR_HEAD] : []),
  };
}

/** DoRA begins at the norms that its graph divides by, to the last bit: then the policy is its base. */
async function startMagnitudes(
  { lora, weights }: Pick<OpenedModel, 'lora' | 'weights'>,
  model: Model,
  dtype: Arithmetic,
): Promise<void> {
  const passes = new Passes({ model, dtype, lora, trained: [], threads: 1 });
  const started: Weights = new Map(weights);
  await passes.updateNorms(started);
  for (const { module, dora } of lora)
    if (dora) weights.get(loraMagnitude(module))!.data.set(started.get(loraNorm(module))!.data);
  await passes.sessions.dispose();
}

function configure(raw: RawConfig): { architecture: Architecture } & ReturnType<Architecture['configure']> {
  const type = raw.json.model_type;
  const architecture = typeof type === 'string' ? architectures.get(type) : undefined;
  if (architecture === undefined) {
    const near = typeof type === 'string' ? `; nearest: ${nearestNames(type, architectures.keys(), 1).join()}` : '';
    throw new KelpieError(
      `model_type ${JSON.stringify(type)} is not supported; there are ${[...architectures.keys()].sort().join(', ')}${near}`,
      {
        code: 'unsupported-architecture',
        where: { file: raw.file, key: 'model_type' },
      },
    );
  }
  return { architecture, ...architecture.configure(raw) };
}

/** What config.json in a folder says of a model's sizes, defaults filled in, without its weights. */
export const modelDimensions = async (folder: string) => configure(await readConfig(folder)).model.dimensions;

/** Model types that can be opened. */
export function modelTypes(): string[] {
  return [...architectures.keys()].sort();
}

/**
 * A Hugging Face folder, whole or not at all: weights in float32 under the library's names (a tied model holds its
 * embedding alone), the config, the tokenizer. LoRA without `merge`: a PEFT folder. A scalar head beside the language
 * model's is left out: what is saved is a language model, which loads anywhere.
 */
export async function saveModel(
  opened: OpenedModel,
  folder: string,
  { merge = false, tokenizer = opened.folder, padTokenId }: SaveOptions,
): Promise<void> {
  await writeFolderAtomic(folder, async (temporary) => {
    if (opened.lora.length > 0 && !merge) {
      await saveAdapter(opened, temporary);
      if (opened.model.scalarHead !== undefined && opened.model.languageHead === false) {
        const { shape, data } = opened.weights.get(SCALAR_HEAD)!;
        await writeSafetensors(join(temporary, HEAD_FILE), [{ name: SCALAR_HEAD, shape, data }]);
      }
    } else {
      const weights = opened.lora.length > 0 ? mergeLora(opened.lora, opened.model, opened.weights) : opened.weights;
      const tensors = savedParameters(opened.model).map(({ name, shape }) => ({
        name,
        shape,
        data: weights.get(name)!.data,
      }));
      await writeSafetensors(join(temporary, 'model.safetensors'), tensors);
      const config = opened.model.languageHead === false ? classifierConfig(opened.config, padTokenId) : opened.config;
      await writeJson(join(temporary, 'config.json'), float32Config(config));
    }
    if (tokenizer !== undefined) await copyCompanions(tokenizer, temporary);
  });
}

function savedParameters({ parameters, languageHead = true }: Model): readonly Parameter[] {
  return languageHead ? parameters.filter(({ name }) => name !== SCALAR_HEAD) : parameters;
}

function float32Config(config: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const key = 'dtype' in config ? 'dtype' : 'torch_dtype';
  return { ...config, [key]: 'float32' };
}

async function copyCompanions(from: string, to: string): Promise<void> {
  for (const name of (await readdir(from)).sort())
    if (COMPANIONS.test(name)) await copyFile(join(from, name), join(to, name));
}

async function writeJson(file: string, value: unknown): Promise<void> {
  await writeFile(file, `${JSON.stringify(value, null, 2)}\n`);
}
