import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Engine } from '../engine.js';
import { readSafetensors } from '../files/safetensors.js';
import { writeSafetensors } from '../files/safetensors-write.js';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kelpie-llama-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test.each([{ tied: true }, { tied: false }])('weights saved without `model.` were refused (%j)', async ({ tied }) => {
  const config = join(folder, `${tied}.json`);
  const json = {
    model_type: 'llama',
    vocab_size: 7,
    hidden_size: 8,
    intermediate_size: 8,
    num_hidden_layers: 1,
    num_attention_heads: 2,
    attention_bias: true,
    tie_word_embeddings: tied,
  };
  await writeFile(config, JSON.stringify(json));
  const whole = join(folder, `${tied}`);
  await using engine = await Engine.open({ init: { config, seed: 1 } });
  await engine.save(whole);

  const file = join(whole, 'model.safetensors');
  const saved = await readSafetensors(whole);
  const renamed = await Promise.all(
    [...saved.tensors].map(async ([name, { shape }]) => ({
      name: name.replace(/^model\./, ''),
      shape,
      data: await saved.read(name),
    })),
  );
  expect(renamed.map(({ name }) => name)).toContain('layers.0.self_attn.q_proj.bias');
  await writeSafetensors(file, renamed);
  await using reopened = await Engine.open({ model: whole });
  expect(await reopened.logits([1, 2, 3])).toEqual(await engine.logits([1, 2, 3]));
});
