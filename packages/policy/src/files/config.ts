import { KelpieError, nearestNames } from '../errors.js';
import type { RawConfig } from './config-file.js';
import { type Gpt2Config, parseGpt2Config } from './config-gpt2.js';
import { type LlamaConfig, parseLlamaConfig } from './config-llama.js';

export { type Activation, activations } from './activations.js';
export { type RawConfig, readConfig } from './config-file.js';
export { type Gpt2Config, parseGpt2Config } from './config-gpt2.js';
export type { ConfigBase } from './config-keys.js';
export { type LlamaConfig, parseLlamaConfig } from './config-llama.js';
export { parseRope, type RopeContext, ropeTypes } from './rope-config.js';

export type ModelConfig = LlamaConfig | Gpt2Config;

const parsers = { llama: parseLlamaConfig, gpt2: parseGpt2Config } as const;

export const modelTypes = Object.keys(parsers);

/** The arithmetic of a model, from its config.json of either style (transformers 4 and 5), absent keys by default. */
export function parseConfig(raw: RawConfig): ModelConfig {
  const { model_type: type } = raw.json;
  if (typeof type === 'string' && Object.hasOwn(parsers, type)) return parsers[type as keyof typeof parsers](raw);
  const near = typeof type === 'string' ? `; nearest: \`${nearestNames(type, modelTypes)[0]}\`` : '';
  throw new KelpieError(
    `expected a \`model_type\` that is supported (${modelTypes.join(', ')}), got ${JSON.stringify(type) ?? 'none'}${near}`,
    { code: 'config-unsupported', where: { file: raw.file, key: 'model_type' } },
  );
}
