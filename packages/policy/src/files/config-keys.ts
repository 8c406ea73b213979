import { z } from 'zod';
import { KelpieError } from '../errors.js';
import type { RawConfig } from './config-file.js';
import type { JsonObject } from './json.js';

/** What every parsed config carries beside its arithmetic. */
export interface ConfigBase {
  /** dtype that the weights were saved in (`dtype`, or `torch_dtype`), if the file says so. Never the arithmetic's. */
  readonly storedDtype?: string;
  readonly vocabularySize: number;
  readonly tieWordEmbeddings: boolean;
  /** Keys that nobody here knows, to be reported: they may mean a model that computes otherwise. */
  readonly unknownKeys: readonly string[];
  /** Values that are taken as they are, but look wrong. */
  readonly warnings: readonly string[];
}

export const count = z.int().positive();
/** Far above what there is: each layer costs memory before its weights are looked for. */
export const layerCount = count.max(1000);
export const epsilon = z.number().positive();
/** Any whole number: the library takes ids outside the vocabulary, and -1 is how some files write "none". */
const tokenId = z.int();

/** A switch that old files leave null, which transformers 4 takes for false; 5 refuses it. */
export const offByDefault = z
  .boolean()
  .nullish()
  .transform((value) => value ?? false);

export const baseShape = {
  model_type: z.string().optional(),
  dtype: z.string().nullish(),
  torch_dtype: z.string().nullish(),
  bos_token_id: tokenId.nullish(),
  pad_token_id: tokenId.nullish(),
  eos_token_id: z.union([tokenId, z.array(tokenId)]).nullish(),
} as const;

/** Values of keys of any family that would change the numbers, and are not supported. */
const unsupported: Readonly<Record<string, { ok: (value: unknown) => boolean; why: string }>> = {
  add_cross_attention: { ok: (v) => v === false, why: 'cross attention' },
  is_encoder_decoder: { ok: (v) => v === false, why: 'a model with an encoder' },
  quantization_config: { ok: isEmpty, why: 'quantised weights: use the checkpoint it was quantised from' },
  compression_config: { ok: isEmpty, why: 'compressed weights: use the checkpoint they were made from' },
  pruned_heads: { ok: isEmpty, why: 'pruned heads' },
};

/** Keys that leave scores and gradients alone: bookkeeping, generation, dropout (never applied), classification heads. */
const harmless = new Set(
  `architectures transformers_version _name_or_path name_or_path _commit_hash _attn_implementation
  _attn_implementation_autoset attn_implementation _flash_attn_2_enabled _diffusers_version use_cache initializer_range
  return_dict use_return_dict output_hidden_states output_attentions output_scores return_dict_in_generate torchscript
  use_bfloat16 tf_legacy_loss problem_type finetuning_task task_specific_params id2label label2id num_labels is_decoder
  tie_encoder_decoder cross_attention_hidden_size chunk_size_feed_forward tokenizer_class prefix sep_token_id
  cls_token_id decoder_start_token_id unk_token_id max_length min_length max_new_tokens do_sample early_stopping
  num_beams num_beam_groups diversity_penalty temperature top_k top_p typical_p repetition_penalty length_penalty
  no_repeat_ngram_size encoder_no_repeat_ngram_size bad_words_ids num_return_sequences remove_invalid_values
  exponential_decay_length_penalty suppress_tokens begin_suppress_tokens forced_bos_token_id forced_eos_token_id
  gradient_checkpointing hidden_dropout attention_dropout hidden_dropout_prob attention_probs_dropout_prob dropout
  classifier_dropout ignore_keys_at_rope_validation`.split(/\s+/),
);

/**
 * Checks a config against the schema of its family: values of the wrong type and unsupported values are errors, all of
 * them in one message; keys that neither the family nor the lists above know come back as `unknownKeys`.
 */
export function checkKeys<Schema extends z.ZodObject>(
  { json, file }: RawConfig,
  schema: Schema,
  family: { readonly harmless: readonly string[]; readonly unsupported: typeof unsupported },
): { values: z.infer<Schema>; unknownKeys: string[] } {
  const parsed = schema.safeParse(json);
  if (!parsed.success) {
    const issues = parsed.error.issues.map((issue) => {
      const key = issue.path.join('.');
      return `\`${key}\`: ${issue.message}, got ${JSON.stringify(json[String(issue.path[0])])}`;
    });
    throw new KelpieError(`values that this config cannot hold: ${issues.join('; ')}`, {
      code: 'config-value',
      where: { file, key: String(parsed.error.issues[0]?.path[0] ?? '') },
      cause: parsed.error,
    });
  }
  const rules = { ...unsupported, ...family.unsupported };
  const problems = Object.entries(rules).filter(([key, { ok }]) => Object.hasOwn(json, key) && !ok(json[key]));
  if (problems.length > 0) {
    const text = problems.map(([key, { why }]) => `\`${key}\` ${short(json[key])} (${why})`).join('; ');
    throw new KelpieError(`the config asks for what is not supported: ${text}`, {
      code: 'config-unsupported',
      where: { file, key: problems[0]![0] },
    });
  }
  const known = new Set([...harmless, ...family.harmless, ...Object.keys(rules), ...Object.keys(schema.shape)]);
  return {
    values: parsed.data,
    unknownKeys: Object.keys(json)
      .filter((key) => !known.has(key))
      .sort(),
  };
}

export function storedDtype(json: JsonObject): { storedDtype?: string } {
  const dtype = json.dtype ?? json.torch_dtype;
  return typeof dtype === 'string' ? { storedDtype: dtype.replace(/^torch\./, '') } : {};
}

export function failConfig(message: string, file: string, key: string): never {
  throw new KelpieError(message, { code: 'config-value', where: { file, key } });
}

export function isEmpty(value: unknown): boolean {
  return value === null || value === false || (typeof value === 'object' && Object.keys(value as object).length === 0);
}

function short(value: unknown): string {
  const text = JSON.stringify(value) ?? '';
  return text.length > 60 ? `${text.slice(0, 60)}...` : text;
}
