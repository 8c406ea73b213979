import { z } from 'zod';
import { KelpieError } from '../errors.js';
import type { JsonObject } from './json.js';

/** What an adapter_config.json says about the numbers; the names are peft's, in camelCase. */
export interface PeftConfig {
  readonly r: number;
  readonly loraAlpha: number;
  /** Endings of module names, or a regular expression over whole names, or `all-linear` (all but the head). */
  readonly targetModules: readonly string[] | string;
  readonly excludeModules?: readonly string[] | string;
  readonly layersToTransform?: readonly number[];
  readonly layersPattern?: readonly string[];
  /** Ranks and alphas of modules whose name ends with the key, or matches it; the first key wins. */
  readonly rankPattern: Readonly<Record<string, number>>;
  readonly alphaPattern: Readonly<Record<string, number>>;
  /** Scaling alpha / sqrt(r) instead of alpha / r. */
  readonly useRslora: boolean;
  /** Trained magnitudes beside the directions. */
  readonly useDora: boolean;
  readonly fanInFanOut: boolean;
  readonly taskType?: string;
  readonly baseModelNameOrPath?: string;
}

const count = z.int().positive();
const names = z.union([z.string().min(1), z.array(z.string().min(1))]);

const schema = z.looseObject({
  r: count.default(8),
  lora_alpha: z.number().positive().default(8),
  target_modules: names,
  exclude_modules: names.nullish(),
  layers_to_transform: z.union([z.int(), z.array(z.int())]).nullish(),
  layers_pattern: names.nullish(),
  rank_pattern: z.record(z.string(), count).nullish(),
  alpha_pattern: z.record(z.string(), z.number().positive()).nullish(),
  use_rslora: z.boolean().default(false),
  use_dora: z.boolean().default(false),
  fan_in_fan_out: z.boolean().default(false),
  lora_dropout: z.number().default(0),
  task_type: z.string().nullish(),
  base_model_name_or_path: z.string().nullish(),
});

const empty = (value: unknown) =>
  value === null ||
  value === undefined ||
  value === false ||
  (typeof value === 'object' && Object.keys(value).length === 0);

interface Rule {
  readonly ok: (value: unknown) => boolean;
  readonly why: string;
}

const off = (why: string): Rule => ({ ok: empty, why });

const unsupported: Readonly<Record<string, Rule>> = {
  peft_type: { ok: (v) => v === 'LORA', why: 'only LORA is' },
  bias: { ok: (v) => v === undefined || v === 'none', why: 'biases that are trained beside the adapter' },
  init_lora_weights: {
    ok: (v) => v === undefined || typeof v === 'boolean' || v === 'gaussian' || v === 'eva' || v === 'orthogonal',
    why: 'an initialisation that changes the base weights: convert the adapter to plain LoRA',
  },
  lora_bias: off('a bias on lora_B'),
  modules_to_save: off('whole modules beside the adapter, such as a classification head'),
  trainable_token_indices: off('single tokens that are trained'),
  target_parameters: off('adapters on parameters that are no linear layer'),
  layer_replication: off('layers that are used twice'),
  alora_invocation_tokens: off('activated LoRA'),
  use_qalora: off('QALoRA'),
  use_bdlora: off('block-diagonal LoRA'),
  arrow_config: off('Arrow'),
  kasa_config: off('KaSA'),
  velora_config: off('VeLoRA'),
  monteclora_config: off('MonteCLoRA'),
  megatron_config: off('Megatron'),
};

/** Of no effect on the numbers, or on the initialisation alone. */
const harmless = new Set(
  `auto_mapping base_model_name_or_path inference_mode peft_version revision qalora_group_size megatron_core
  ensure_weight_tying loftq_config eva_config corda_config lora_ga_config runtime_config`.split(/\s+/),
);

/** Checks an adapter_config.json; what would change the numbers and is not supported is an error that names every such key. */
export function parsePeftConfig(json: JsonObject, file: string): { config: PeftConfig; warnings: string[] } {
  const problems = Object.entries(unsupported).filter(([key, { ok }]) => !ok(json[key]));
  if (problems.length > 0) {
    const text = problems.map(([key, { why }]) => `\`${key}\` ${JSON.stringify(json[key])} (${why})`).join('; ');
    throw new KelpieError(`the adapter asks for what is not supported: ${text}`, {
      code: 'peft-unsupported',
      where: { file, key: problems[0]![0] },
    });
  }
  const parsed = schema.safeParse(json);
  if (!parsed.success) {
    const text = parsed.error.issues.map((issue) => `\`${issue.path.join('.')}\`: ${issue.message}`).join('; ');
    throw new KelpieError(`values that an adapter's config cannot hold: ${text}`, {
      code: 'peft-config',
      where: { file, key: String(parsed.error.issues[0]?.path[0] ?? '') },
      cause: parsed.error,
    });
  }
  const p = parsed.data;
  const layers = typeof p.layers_to_transform === 'number' ? [p.layers_to_transform] : p.layers_to_transform;
  const pattern = typeof p.layers_pattern === 'string' ? [p.layers_pattern] : p.layers_pattern;
  const known = new Set([...harmless, ...Object.keys(unsupported), ...Object.keys(schema.shape)]);
  const warnings = Object.keys(json)
    .filter((key) => !known.has(key) && !empty(json[key]))
    .map((key) => `\`${key}\` of the adapter's config is not known and is ignored`);
  if (p.lora_dropout > 0) warnings.push(`\`lora_dropout\` ${p.lora_dropout} is not applied: nothing is dropped here`);
  const config: PeftConfig = {
    r: p.r,
    loraAlpha: p.lora_alpha,
    targetModules: p.target_modules,
    ...(p.exclude_modules == null || p.exclude_modules.length === 0 ? {} : { excludeModules: p.exclude_modules }),
    ...(layers == null || layers.length === 0 ? {} : { layersToTransform: layers }),
    ...(pattern == null || pattern.length === 0 ? {} : { layersPattern: pattern }),
    rankPattern: p.rank_pattern ?? {},
    alphaPattern: p.alpha_pattern ?? {},
    useRslora: p.use_rslora,
    useDora: p.use_dora,
    fanInFanOut: p.fan_in_fan_out,
    ...(p.task_type == null ? {} : { taskType: p.task_type }),
    ...(p.base_model_name_or_path == null ? {} : { baseModelNameOrPath: p.base_model_name_or_path }),
  };
  return { config, warnings };
}

/** The adapter_config.json that peft reads; lists sorted, so that the same adapter gives the same bytes. */
export function peftConfigJson(config: PeftConfig): JsonObject {
  const sorted = (value: readonly string[] | string | undefined) =>
    value === undefined ? null : typeof value === 'string' ? value : [...value].sort();
  return {
    peft_type: 'LORA',
    task_type: config.taskType ?? 'CAUSAL_LM',
    base_model_name_or_path: config.baseModelNameOrPath ?? null,
    inference_mode: true,
    r: config.r,
    lora_alpha: config.loraAlpha,
    lora_dropout: 0,
    target_modules: sorted(config.targetModules),
    exclude_modules: sorted(config.excludeModules),
    layers_to_transform: config.layersToTransform ?? null,
    layers_pattern: config.layersPattern ?? null,
    rank_pattern: config.rankPattern,
    alpha_pattern: config.alphaPattern,
    use_rslora: config.useRslora,
    use_dora: config.useDora,
    fan_in_fan_out: config.fanInFanOut,
    bias: 'none',
    modules_to_save: null,
    init_lora_weights: true,
  };
}
