import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Engine, type OpenOptions, type ScoreName, type TokenTree } from '@kelpie/policy';
import { afterAll, describe, expect, test } from 'vitest';
import { randomIds, randomOf, row, SEED, scratchFile, tinyModels, writeConfig } from './models.js';

const random = randomOf('scalar-head');
const opened: Engine[] = [];
afterAll(async () => {
  for (const engine of opened) await engine.dispose();
});

const trees: readonly TokenTree[] = [
  { trunk: randomIds(random, 5), branches: [3, 4].map((n) => ({ ids: randomIds(random, n), scoreFrom: 5 })) },
  row(randomIds(random, 6), 2),
];

async function open(name: string, options: Partial<OpenOptions> = {}): Promise<Engine> {
  const model = tinyModels.find((tiny) => tiny.name.startsWith(name))!;
  const from = options.model === undefined ? { init: { config: writeConfig(model), seed: SEED } } : {};
  const engine = await Engine.open({ ...from, dtype: 'float64', threads: 1, ...options });
  opened.push(engine);
  return engine;
}

/** Gradients of Σ c score, c of 1, 2, 3 ... */
async function gradients(engine: Engine, scores: readonly ScoreName[], temperature = 1) {
  const before = await engine.gradients();
  const { scores: given, pullback } = await engine.vjp({ trees, scores, temperature });
  const cotangent = Array.from(given.completionMask, (bit, at) => bit * (at + 1));
  await pullback(Object.fromEntries(scores.map((name) => [name, Float64Array.from(cotangent)])));
  const after = await engine.gradients();
  const own = new Map(
    [...after].map(([name, { data }]) => [name, data.map((value, i) => value - before.get(name)!.data[i]!)] as const),
  );
  return { given, cotangent, own };
}

const dot = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  Array.from(a).reduce((sum, value, i) => sum + value * b[i]!, 0);

async function headOf(engine: Engine): Promise<number[]> {
  const folder = scratchFile(`head-${opened.length}-${Math.floor(random() * 1e9)}`);
  await engine.save(folder);
  const bytes = readFileSync(join(folder, 'model.safetensors'));
  const start = 8 + Number(bytes.readBigUInt64LE());
  const header = JSON.parse(bytes.toString('utf8', 8, start));
  const [from, to] = header['score.weight'].data_offsets;
  return [...new Float32Array(Uint8Array.from(bytes.subarray(start + from, start + to)).buffer)];
}

describe.each(['llama', 'gpt2'])('%s', (name) => {
  test('alone: values are linear in the head, whose gradient says so', async () => {
    const engine = await open(name, { scalarHead: 'alone', scalarHeadSeed: 3 });
    const { given, cotangent, own } = await gradients(engine, ['values']);
    expect(own.has('lm_head.weight')).toBe(false);
    expect(dot(own.get('score.weight')!, await headOf(engine))).toBeCloseTo(dot(cotangent, given.values!), 6);
  });

  test('beside: starts at 0, adds its gradient to that of the logits, and no temperature touches it', async () => {
    const engine = await open(name, { scalarHead: 'beside' });
    expect((await engine.score({ trees, scores: ['values'] })).values!.every((value) => value === 0)).toBe(true);
    await engine.optimizer({});
    const first = await gradients(engine, ['values']);
    await engine.step(0.1);
    const [values, logprobs, both] = [
      await gradients(engine, ['values'], 0.5),
      await gradients(engine, ['logprobs'], 0.5),
      await gradients(engine, ['logprobs', 'values'], 0.5),
    ];
    for (const [tensor, sum] of both.own) {
      const parts = values.own.get(tensor)!.map((value, i) => value + logprobs.own.get(tensor)![i]!);
      sum.forEach((value, i) => {
        expect(value, tensor).toBeCloseTo(parts[i]!, 9);
      });
    }
    const plain = await gradients(engine, ['values']);
    expect(plain.given.values).toEqual(values.given.values);
    expect(plain.own.get('score.weight')![0]).toBeCloseTo(values.own.get('score.weight')![0]!, 9);
    expect(first.own.get('score.weight')!.some((value) => value !== 0)).toBe(true);
  });

  test('beside: what is saved is the language model alone', async () => {
    const engine = await open(name, { scalarHead: 'beside', dtype: 'float32' });
    expect(engine.info.scalarHead).toBe('beside');
    await gradients(engine, ['logprobs', 'values']);
    await engine.step(0.1);
    const folder = scratchFile(`language-model-${name}`);
    await engine.save(folder);
    const again = await open(name, { model: folder, dtype: 'float32' });
    expect(again.info.scalarHead).toBeUndefined();
    const request = { trees, scores: ['logprobs'] as const };
    expect((await again.score(request)).logprobs).toEqual((await engine.score(request)).logprobs);
  });

  test('a sequence classifier saved is one opened', async () => {
    const engine = await open(name, { scalarHead: 'alone', dtype: 'float32' });
    const folder = scratchFile(`classifier-${name}`);
    await engine.save(folder, { padTokenId: 0 });
    const config = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8'));
    expect(config).toMatchObject({
      architectures: [name === 'llama' ? 'LlamaForSequenceClassification' : 'GPT2ForSequenceClassification'],
      id2label: { '0': 'LABEL_0' },
      pad_token_id: 0,
    });
    const again = await open(name, { model: folder, dtype: 'float32' });
    const request = { trees, scores: ['values'] as const };
    expect((await again.score(request)).values).toEqual((await engine.score(request)).values);
    await expect(again.score({ trees, scores: ['logprobs'] })).rejects.toThrow('scalar head in its place');
    await expect(again.sample({ prompts: [[1]], maxNewTokens: 1 })).rejects.toThrow('sampling');
    await expect(open(name, { model: folder, scalarHead: 'beside' })).rejects.toThrow('sequence classifier');
  });
});

test('a head is trained along with a fresh LoRA', async () => {
  const lora = { rank: 2, alpha: 4, targetModules: 'all-linear' } as const;
  const engine = await open('llama', { scalarHead: 'beside', lora });
  await gradients(engine, ['values']);
  await engine.step(0.1);
  const request = { trees, scores: ['values'] as const };
  expect((await engine.score(request)).values!.some((value) => value !== 0)).toBe(true);
});

test('without a head there are no values', async () => {
  const engine = await open('llama');
  await expect(engine.score({ trees, scores: ['values'] })).rejects.toThrow('`scalarHead`');
});
