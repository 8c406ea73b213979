export { type Activation, activations } from './activations.js';
export { type RawConfig, readConfig } from './config-file.js';
export { type Gpt2Config, parseGpt2Config } from './config-gpt2.js';
export type { ConfigBase } from './config-keys.js';
export { type LlamaConfig, parseLlamaConfig } from './config-llama.js';
export { parseRope, type RopeContext, ropeTypes } from './rope-config.js';
