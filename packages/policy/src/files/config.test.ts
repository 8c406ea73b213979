import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { openModel } from '../model-folder.js';
import { type Gpt2Config, type LlamaConfig, parseGpt2Config, parseLlamaConfig, readConfig } from './config.js';
import type { RawConfig } from './config-file.js';
import { specialTokenIds } from './generation-config.js';
import { shared } from './shared-folder.test-helper.js';

const parseRaw = (raw: RawConfig): LlamaConfig | Gpt2Config =>
  raw.json.model_type === 'gpt2' ? parseGpt2Config(raw) : parseLlamaConfig(raw);
const parse = (json: Record<string, unknown>) => parseRaw({ json, file: 'config.json' });

describe('defaults of transformers 4.57.6 and 5.23.0', () => {
  test('llama', () => {
    expect(parse({ model_type: 'llama' })).toEqual({
      modelType: 'llama',
      vocabularySize: 32000,
      hiddenSize: 4096,
      intermediateSize: 11008,
      layers: 32,
      attentionHeads: 32,
      keyValueHeads: 32,
      headDim: 128,
      activation: 'silu',
      maxPositionEmbeddings: 2048,
      rmsNormEps: 1e-6,
      attentionBias: false,
      mlpBias: false,
      tieWordEmbeddings: false,
      rope: { type: 'default', theta: 10000, headDim: 128, partialRotaryFactor: 1, maxPositionEmbeddings: 2048 },
      unknownKeys: [],
      warnings: [],
    });
  });

  test('gpt2', () => {
    expect(parse({ model_type: 'gpt2' })).toEqual({
      modelType: 'gpt2',
      vocabularySize: 50257,
      hiddenSize: 768,
      intermediateSize: 3072,
      layers: 12,
      attentionHeads: 12,
      headDim: 64,
      activation: 'gelu_tanh',
      maxPositionEmbeddings: 1024,
      layerNormEps: 1e-5,
      scaleAttention: true,
      scaleAttentionByInverseLayer: false,
      tieWordEmbeddings: true,
      unknownKeys: [],
      warnings: [],
    });
  });
});

test('both styles of one config mean the same', () => {
  const scaling = { factor: 8, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 32 };
  const old = parse({
    model_type: 'llama',
    torch_dtype: 'bfloat16',
    rope_theta: 5e5,
    rope_scaling: { ...scaling, rope_type: 'llama3' },
    head_dim: null,
    num_key_value_heads: null,
  });
  const renewed = parse({
    model_type: 'llama',
    dtype: 'bfloat16',
    rope_parameters: { ...scaling, rope_type: 'llama3', rope_theta: 5e5 },
    layer_types: ['full_attention'],
  });
  expect(renewed).toEqual(old);
  expect(old.storedDtype).toBe('bfloat16');
});

test("gpt2's other names count, unless they contradict", () => {
  const aliased = parse({
    model_type: 'gpt2',
    hidden_size: 48,
    num_attention_heads: 3,
    num_hidden_layers: 2,
    max_position_embeddings: 9,
  });
  expect(aliased).toMatchObject({
    hiddenSize: 48,
    attentionHeads: 3,
    layers: 2,
    maxPositionEmbeddings: 9,
    unknownKeys: [],
  });
  expect(() => parse({ model_type: 'gpt2', hidden_size: 48, n_embd: 768 })).toThrow(
    /equal `n_embd`, 768.*key `hidden_size`/,
  );
});

test('keys that nobody knows are collected, not ignored', () => {
  const json = {
    model_type: 'llama',
    attention_bais: true,
    use_cache: true,
    attention_dropout: 0.1,
    zeta: null,
    auto_map: {},
  };
  expect(parse(json).unknownKeys).toEqual(['attention_bais', 'auto_map', 'zeta']);
});

test.each([
  [
    { model_type: 'gpt2', add_cross_attention: true },
    'config-unsupported',
    /`add_cross_attention` true \(cross attention\)/,
  ],
  [
    { model_type: 'llama', quantization_config: { bits: 4 }, is_encoder_decoder: true },
    'config-unsupported',
    /encoder.*quantised/,
  ],
  [{ model_type: 'llama', sliding_window: 64 }, 'config-unsupported', /sliding window/],
  [{ model_type: 'llama', layer_types: ['sliding_attention'] }, 'config-unsupported', /`layer_types`/],
  [{ model_type: 'gpt2', pruned_heads: { 0: [1] } }, 'config-unsupported', /pruned heads/],
  [
    { model_type: 'llama', hidden_act: 'gelu_nwe' },
    'config-unsupported',
    /`gelu_nwe` is not supported; nearest: `gelu_new`/,
  ],
  [
    { model_type: 'llama', hidden_size: '64', mlp_bias: 1 },
    'config-value',
    /`hidden_size`.*got "64"; `mlp_bias`.*got 1/,
  ],
  [{ model_type: 'llama', rms_norm_eps: null }, 'config-value', /`rms_norm_eps`/],
  [{ model_type: 'llama', num_attention_heads: 3 }, 'config-value', /a multiple of 3 attention heads/],
  [{ model_type: 'llama', num_key_value_heads: 5 }, 'config-value', /multiple of the key\/value heads, got 5/],
  [{ model_type: 'gpt2', n_head: 5 }, 'config-value', /a multiple of 5 heads/],
  [{ model_type: 'llama', partial_rotary_factor: 0.5 }, 'config-value', /rotates whole heads/],
])('%j is refused', (json, code, message) => {
  expect(() => parse(json)).toThrow(message);
  expect(() => parse(json)).toThrow(expect.objectContaining({ code }));
});

test('a family that there is not is refused once, where models are opened', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'kelpie-config-'));
  const open = async (json: object) => {
    await writeFile(join(folder, 'config.json'), JSON.stringify(json));
    return openModel({ model: folder }, 'float32');
  };
  const code = 'unsupported-architecture';
  await expect(open({ model_type: 'lama' })).rejects.toMatchObject({
    code,
    message: expect.stringMatching(/model_type "lama".*nearest: llama/),
  });
  await expect(open({})).rejects.toMatchObject({ code, where: { key: 'model_type' } });
  await rm(folder, { recursive: true });
});

test.each([
  [{ sliding_window: null }],
  [{ sliding_window: 64, use_sliding_window: false }],
  [{ sliding_window: 2048 }],
  [{ quantization_config: null, pruned_heads: {}, pretraining_tp: 2 }],
])('%j changes nothing', (json) => {
  expect(parse({ model_type: 'llama', ...json })).toEqual(parse({ model_type: 'llama' }));
});

test.each([
  [{ model_type: 'llama', attention_bias: null, mlp_bias: null, tie_word_embeddings: null }],
  [{ model_type: 'llama', bos_token_id: -1, eos_token_id: -1, pad_token_id: -1 }],
  [{ model_type: 'llama', eos_token_id: [-1, 2], pad_token_id: -100 }],
  [{ model_type: 'gpt2', bos_token_id: -1, eos_token_id: -1 }],
])('%j was refused, though transformers takes it', (json) => {
  expect(parse(json)).toEqual(parse({ model_type: json.model_type }));
});

test('end tokens: the generation config, then the config, then the family; null means none', () => {
  expect(specialTokenIds({ model_type: 'llama' })).toEqual({ eosTokenIds: [2], bosTokenId: 1 });
  expect(specialTokenIds({ model_type: 'gpt2', vocab_size: 3 })).toEqual({ eosTokenIds: [] });
  expect(
    specialTokenIds({ model_type: 'llama', eos_token_id: 7, pad_token_id: 0 }, { eos_token_id: [1, 2, 1] }),
  ).toEqual({
    eosTokenIds: [1, 2],
    bosTokenId: 1,
    padTokenId: 0,
  });
  expect(specialTokenIds({ model_type: 'llama', eos_token_id: 7 }, { eos_token_id: null })).toMatchObject({
    eosTokenIds: [],
  });
  expect(specialTokenIds({ model_type: 'llama', pad_token_id: -1 })).not.toHaveProperty('padTokenId');
  expect(() => specialTokenIds({ eos_token_id: 'two' })).toThrow(
    /expected a token id or null, got "two".*key `eos_token_id`/,
  );
});

describe.skipIf(shared === undefined)('real and tiny models', () => {
  const folders = ['models', 'models/tiny'].flatMap((parent) =>
    shared === undefined ? [] : readdirSync(join(shared, parent)).map((name) => join(shared!, parent, name)),
  );
  const configs = folders.map((folder) => join(folder, 'config.json')).filter((file) => existsSync(file));
  const ours = configs.filter((file) => /"model_type":\s*"(llama|gpt2)"/.test(readFileSync(file, 'utf8')));

  test.each(ours)('%s is understood, without a doubt', async (file) => {
    const config = parseRaw(await readConfig(file));
    expect(config.unknownKeys).toEqual([]);
    expect(config.warnings).toEqual([]);
  });

  test('llama-rope3-tied, llama-bias-linear and gpt2-layeridx hold what their table says', async () => {
    const tiny = async (name: string) => parseRaw(await readConfig(join(shared!, 'models/tiny', name)));
    const rope3 = await tiny('llama-rope3-tied');
    expect(rope3).toMatchObject({ tieWordEmbeddings: true, storedDtype: 'bfloat16', rope: { type: 'llama3' } });
    expect(rope3.headDim).toBe((2 * rope3.hiddenSize) / rope3.attentionHeads);
    expect(await tiny('llama-bias-linear')).toMatchObject({
      attentionBias: true,
      mlpBias: true,
      keyValueHeads: 1,
      rope: { type: 'linear' },
    });
    expect(await tiny('gpt2-layeridx')).toMatchObject({
      intermediateSize: 60,
      scaleAttentionByInverseLayer: true,
      activation: 'gelu',
      tieWordEmbeddings: false,
    });
  });
});
