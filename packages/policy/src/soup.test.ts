import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Engine } from './engine.js';
import { readSafetensors } from './files/safetensors.js';
import { writeSafetensors } from './files/safetensors-write.js';
import { referenceOf, soupParts } from './soup.js';
import { treeOf } from './tree.js';

const tiny = {
  model_type: 'llama',
  vocab_size: 23,
  hidden_size: 16,
  intermediate_size: 24,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  max_position_embeddings: 32,
  tie_word_embeddings: true,
};
const trees = [treeOf([{ ids: [1, 5, 6, 7, 2], scoreFrom: 3 }])];
const tokenizer = (vocab: Readonly<Record<string, number>>) => JSON.stringify({ model: { type: 'BPE', vocab } });

let folder: string;
const at = (name: string) => join(folder, name);

async function save(name: string, seed: number, config: object = tiny): Promise<string> {
  const file = at(`${name}.json`);
  await writeFile(file, JSON.stringify(config));
  await using policy = await Engine.open({ init: { config: file, seed }, threads: 1 });
  await policy.save(at(name));
  return at(name);
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kelpie-soup-'));
  await Promise.all([save('one', 1), save('two', 2), save('wide', 3, { ...tiny, intermediate_size: 32 })]);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const logprobsOf = async (policy: Engine) =>
  (await policy.score({ trees, scores: ['logprobs'], of: 'reference' })).logprobs!;

describe('a soup of models as the reference', () => {
  test('has the weighted mean of their weights', async () => {
    const parts = [
      { model: at('one'), weight: 0.25 },
      { model: at('two'), weight: 0.75 },
    ];
    const files = await Promise.all(parts.map(({ model }) => readSafetensors(model)));
    const mean = await Promise.all(
      [...files[0]!.tensors].map(async ([name, { shape }]) => {
        const [one, two] = await Promise.all(files.map((file) => file.readFloat64(name)));
        return { name, shape: [...shape], data: Float32Array.from(one!, (x, i) => 0.25 * x + 0.75 * two![i]!) };
      }),
    );
    await save('mean', 1);
    await writeSafetensors(join(at('mean'), 'model.safetensors'), mean);
    await using mixed = await Engine.open({ model: at('one'), reference: parts, threads: 1 });
    await using named = await Engine.open({ model: at('one'), reference: at('mean'), threads: 1 });
    expect(await logprobsOf(mixed)).toEqual(await logprobsOf(named));
    expect(mixed.info.referenceHash).toBe(named.info.referenceHash);
    await using alone = await Engine.open({
      model: at('one'),
      reference: [{ model: at('mean'), weight: 1 }],
      threads: 1,
    });
    expect(alone.info.referenceHash).toBe(named.info.referenceHash);
  });

  test('moves towards the policy as any reference does', async () => {
    const reference = [
      { model: at('one'), weight: 0.5 },
      { model: at('two'), weight: 0.5 },
    ];
    await using policy = await Engine.open({ model: at('one'), reference, threads: 1 });
    expect(policy.info.referenceMoves).toBe(true);
    await policy.updateReference(1);
    expect(await logprobsOf(policy)).toEqual((await policy.score({ trees, scores: ['logprobs'] })).logprobs);
  });

  test('says what is wrong with it', async () => {
    const part = (model: string, weight: number) => ({ model, weight });
    expect(() => soupParts([])).toThrow('at least one');
    expect(() => soupParts([part('a', 0.5), part('b', 0.4)])).toThrow('sum to 0.9, expected 1: a=0.5 b=0.4');
    expect(() => soupParts([part('a', 0.5), part('a', 0.5)])).toThrow('`a` is in the soup twice');
    expect(() => soupParts([part('a', Number.NaN)])).toThrow('the weight of `a` is NaN');
    const open = (reference: readonly { model: string; weight: number }[]) =>
      Engine.open({ model: at('one'), reference, threads: 1 });
    await expect(open([part(at('two'), 0.5), part(at('wide'), 0.5)])).rejects.toMatchObject({
      code: 'reference-arithmetic',
      where: { folder: at('wide') },
    });
  });
});

test('a reference as a person writes it', () => {
  expect(referenceOf(['base'])).toBe('base');
  expect(referenceOf(['odd=name'])).toBe('odd=name');
  expect(referenceOf(['one=0.7', 'runs/a=b/two=0.3'])).toEqual([
    { model: 'one', weight: 0.7 },
    { model: 'runs/a=b/two', weight: 0.3 },
  ]);
  expect(referenceOf(['one', 'two'])).toEqual([
    { model: 'one', weight: 0.5 },
    { model: 'two', weight: 0.5 },
  ]);
  expect(() => referenceOf(['one=0.7', 'two'])).toThrow('`two` has no weight');
  expect(() => referenceOf(['one=0.7', 'two=0.7'])).toThrow('sum to 1.4');
});

test('a folder that is there is one, whatever its name looks like', async () => {
  await mkdir(at('lr=0.1'));
  expect(referenceOf([at('lr=0.1')])).toBe(at('lr=0.1'));
  expect(referenceOf([`${at('lr=0.1')}=0.4`, 'two=0.6'])).toEqual([
    { model: at('lr=0.1'), weight: 0.4 },
    { model: 'two', weight: 0.6 },
  ]);
});

test('a reference whose ids mean other tokens is refused', async () => {
  const [one, two] = await Promise.all([save('told-one', 1), save('told-two', 2)]);
  await writeFile(join(one, 'tokenizer.json'), tokenizer({ a: 0, b: 1 }));
  await writeFile(join(two, 'tokenizer.json'), tokenizer({ a: 0, b: 1, c: 2 }));
  await using opened = await Engine.open({ model: one, reference: two, threads: 1 });
  expect(opened.info.referenceHash).not.toBe(opened.info.hash);
  await writeFile(join(two, 'tokenizer.json'), tokenizer({ b: 0, a: 1 }));
  await expect(Engine.open({ model: one, reference: two, threads: 1 })).rejects.toThrow(
    /token 0 is "b" here and "a" in .*told-one/,
  );
});

test('the reference draws as the same model does as a policy', async () => {
  const request = { prompts: [[1, 5, 6]], completions: 4, maxNewTokens: 6, seed: 3 };
  await using policy = await Engine.open({ model: at('one'), reference: at('two'), threads: 1 });
  await using other = await Engine.open({ model: at('two'), threads: 1 });
  const drawn = await policy.sample({ ...request, of: 'reference' });
  expect(drawn).toEqual(await other.sample(request));
  expect(drawn).not.toEqual(await policy.sample(request));
  const lora = { rank: 2, alpha: 4, targetModules: ['q_proj'] };
  await using adapted = await Engine.open({ model: at('two'), lora, keepReference: true, threads: 1 });
  const { pullback, scores } = await adapted.vjp({ trees, scores: ['logprobs'] });
  await pullback({ logprobs: Float64Array.from(scores.completionMask) });
  await adapted.step(0.5);
  expect((await adapted.sample({ ...request, of: 'reference' })).map(({ ids }) => ids)).toEqual(
    drawn.map(({ ids }) => ids),
  );
});
