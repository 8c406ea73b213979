import type { Model } from './architecture.js';
import type { RawConfig } from './files/config.js';
import type { Parameter } from './parameters.js';

/** [1, hidden]: what Hugging Face's sequence classification calls the head of a model with one label. */
export const SCALAR_HEAD = 'score.weight';

/**
 * Where a scalar head stands.
 *   alone    in place of the language model's head: a reward model, or a critic of its own
 *   beside   beside it, over the same trunk: a policy with a critic
 */
export type ScalarHeadPlace = 'alone' | 'beside';

const classifier = /ForSequenceClassification$/;

function architecturesOf(json: RawConfig['json']): string[] {
  return Array.isArray(json.architectures) ? json.architectures.filter((name) => typeof name === 'string') : [];
}

/** Whether a config is a sequence classifier's. */
export function isClassifier({ json }: Pick<RawConfig, 'json'>): boolean {
  return architecturesOf(json).some((name) => classifier.test(name));
}

/** How many numbers a classifier gives for a sequence: transformers has 2 where the config says nothing. */
export function labelsOf({ json }: Pick<RawConfig, 'json'>): number {
  if (typeof json.num_labels === 'number') return json.num_labels;
  const { id2label } = json;
  return typeof id2label === 'object' && id2label !== null ? Object.keys(id2label).length : 2;
}

/**
 * The model with a scalar head. A head beside a language model's starts at 0, so that every value does; one alone as the
 * library starts it, at random.
 *
 * @param std of the fresh weights of a head alone.
 * @param fresh whether a checkpoint may lack the head.
 */
export function withScalarHead(
  model: Model,
  { place, std, fresh }: { readonly place: ScalarHeadPlace; readonly std: number; readonly fresh: boolean },
): Model {
  const head: Parameter = {
    name: SCALAR_HEAD,
    shape: [1, model.dimensions.hiddenSize],
    kind: 'matrix',
    init: place === 'alone' ? { std } : { constant: 0 },
    ...(fresh && { optional: true }),
  };
  const dropped = place === 'alone' ? model.parameters.filter((own) => isUntiedHead(own, model)) : [];
  return {
    ...model,
    parameters: [...model.parameters.filter((own) => !dropped.includes(own)), head],
    scalarHead: SCALAR_HEAD,
    languageHead: place === 'beside',
    ...(dropped.length > 0 && { leftAside: dropped.flatMap(({ name, aliases = [] }) => [name, ...aliases]) }),
  };
}

function isUntiedHead({ name, kind }: Parameter, { headWeight }: Model): boolean {
  return kind !== 'embedding' && (name === headWeight || name === headWeight.replace(/weight$/, 'bias'));
}

/**
 * config.json of a sequence classifier with one label. transformers finds a sequence's last token by the padding id: where
 * the config has none it is to be given.
 */
export function classifierConfig(
  config: Readonly<Record<string, unknown>>,
  padTokenId?: number,
): Record<string, unknown> {
  const architectures = architecturesOf(config).map((name) => name.replace(/For\w+$|Model$|LMHeadModel$/, ''));
  const stems = architectures.length > 0 ? architectures : [stemOf(config.model_type)];
  return {
    ...config,
    architectures: stems.map((stem) => `${stem}ForSequenceClassification`),
    id2label: { '0': 'LABEL_0' },
    label2id: { LABEL_0: 0 },
    ...(padTokenId !== undefined && { pad_token_id: padTokenId }),
  };
}

/** Class names of the library for model types that do not spell them out. */
const stems: Readonly<Record<string, string>> = { gpt2: 'GPT2', opt: 'OPT', gpt_neox: 'GPTNeoX', stablelm: 'StableLm' };

function stemOf(modelType: unknown): string {
  const type = String(modelType);
  return stems[type] ?? type.replace(/(^|_)(\w)/g, (_, _bar, letter: string) => letter.toUpperCase());
}
