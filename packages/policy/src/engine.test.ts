import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Engine } from './engine.js';
import { readSafetensors } from './files/safetensors.js';
import { openPolicy } from './remote.js';
import { treeOf } from './tree.js';
import type { Policy } from './types.js';

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
const pair = treeOf([
  { ids: [1, 5, 6, 7, 2], scoreFrom: 3 },
  { ids: [1, 5, 6, 9, 11, 2], scoreFrom: 3 },
]);

let folder: string;
let config: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kelpie-engine-'));
  config = join(folder, 'config.json');
  await writeFile(config, JSON.stringify(tiny));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const init = (seed = 3) => ({ init: { config, seed }, threads: 1 });

async function train(policy: Policy, steps: number): Promise<number[]> {
  const losses: number[] = [];
  for (let i = 0; i < steps; i++) {
    const { scores, pullback } = await policy.vjp({ trees: [pair], scores: ['logprobs'] });
    losses.push(-scores.logprobs!.reduce((a, b) => a + b, 0));
    await pullback({ logprobs: Float64Array.from(scores.completionMask, (m) => -m) });
    await policy.step(1e-2);
  }
  return losses;
}

async function tensorsOf(file: string): Promise<Map<string, Float64Array>> {
  const source = await readSafetensors(file);
  const read = [...source.tensors.keys()].map(async (name) => [name, await source.readFloat64(name)] as const);
  return new Map(await Promise.all(read));
}

test('a saved model opens with the same scores, and holds the embedding of a tied model under its own name', async () => {
  await using policy = await Engine.open(init());
  const losses = await train(policy, 5);
  expect(losses.at(-1)!).toBeLessThan(losses[0]!);
  const out = join(folder, 'saved');
  await policy.save(out);
  const header = (await readFile(join(out, 'model.safetensors'))).toString('latin1', 8, 4000);
  expect(header).toContain('model.embed_tokens.weight');
  expect(header).not.toContain('lm_head.weight');
  await using again = await Engine.open({ model: out, threads: 1 });
  const request = { trees: [pair], scores: ['logprobs', 'entropy'] } as const;
  expect(await again.score(request)).toEqual(await policy.score(request));
});

test('saved and restored training goes on bit for bit', async () => {
  const file = join(folder, 'state.safetensors');
  await using whole = await Engine.open(init());
  await whole.optimizer({ weightDecay: 0.1 });
  await train(whole, 3);
  await whole.saveState(file);
  const rest = await train(whole, 3);
  await using resumed = await Engine.open(init());
  await resumed.optimizer({ weightDecay: 0.1 });
  await resumed.restoreState(file);
  expect(await train(resumed, 3)).toEqual(rest);
  await using other = await Engine.open(init(4));
  await expect(other.restoreState(file)).rejects.toThrow(/another model/);
});

test('a policy in a worker thread gives the same numbers, and its errors keep their facts', async () => {
  await using local = await Engine.open(init());
  await using remote = await openPolicy(init());
  expect(remote.info).toEqual(local.info);
  expect(await train(remote, 3)).toEqual(await train(local, 3));
  const sampling = { prompts: [[1, 5]], completions: 2, maxNewTokens: 6, seed: 1 };
  expect(await remote.sample(sampling)).toEqual(await local.sample(sampling));
  await expect(
    remote.score({ trees: [treeOf([{ ids: [1, 99], scoreFrom: 1 }])], scores: ['logprobs'] }),
  ).rejects.toMatchObject({
    name: 'KelpieError',
    code: 'token-row',
    where: { tree: 0 },
  });
  await expect(openPolicy({ model: join(folder, 'nowhere') })).rejects.toThrow(/nowhere/);
});

test('fresh LoRA is its base; the kept reference stays the start', async () => {
  await using base = await Engine.open(init());
  await using lora = await Engine.open({
    ...init(),
    lora: { rank: 2, alpha: 4, targetModules: 'all-linear' },
    keepReference: true,
  });
  const request = { trees: [pair], scores: ['logprobs', 'reverseKl', 'forwardKl'] } as const;
  const start = await lora.score(request);
  expect(start.logprobs).toEqual((await base.score({ ...request, scores: ['logprobs'] })).logprobs);
  expect(start.reverseKl!.every((x) => Math.abs(x) < 1e-6)).toBe(true);
  await train(lora, 4);
  const after = await lora.score(request);
  expect(after.reverseKl!.some((x) => x > 1e-4)).toBe(true);
  expect((await lora.score({ ...request, scores: ['logprobs'], of: 'reference' })).logprobs).toEqual(start.logprobs);
  expect(lora.info.trainedParameters).toBeLessThan(base.info.parameters);
});

describe('DoRA', () => {
  const lora = { rank: 2, alpha: 4, dora: true, targetModules: 'all-linear' } as const;
  const request = { trees: [pair], scores: ['logprobs'] } as const;
  const magnitudes = (names: Iterable<string>) => [...names].filter((name) => name.endsWith('.lora_magnitude_vector'));

  test('fresh, it is its base to the last bit; magnitudes are trained, saved and restored', async () => {
    const file = join(folder, 'dora.safetensors');
    await using base = await Engine.open(init());
    await using policy = await Engine.open({ ...init(), lora, keepReference: true });
    expect((await policy.score(request)).logprobs).toEqual((await base.score(request)).logprobs);
    const start = await policy.score({ ...request, of: 'reference' });
    await train(policy, 3);
    expect(await policy.score({ ...request, of: 'reference' })).toEqual(start);
    await policy.saveState(file);
    const saved = await tensorsOf(file);
    const trained = magnitudes(saved.keys()).filter((name) => name.startsWith('trained/'));
    expect(trained).toHaveLength(14);
    expect([...saved.keys()].some((name) => name.includes('lora_norm'))).toBe(false);
    const rest = await train(policy, 2);
    await using resumed = await Engine.open({ ...init(), lora });
    await resumed.restoreState(file);
    expect(await train(resumed, 2)).toEqual(rest);
  });

  test('the gradient of a magnitude is its difference', async () => {
    const file = join(folder, 'dora-magnitudes.safetensors');
    await using policy = await Engine.open({ ...init(), lora, dtype: 'float64' });
    await train(policy, 2);
    const { scores, pullback } = await policy.vjp(request);
    await pullback({ logprobs: Float64Array.from(scores.completionMask) });
    const gradients = await policy.gradients();
    const name = magnitudes(gradients.keys())[3]!;
    await policy.saveState(file);
    const source = await readSafetensors(file);
    const { offset } = placeOf(await readFile(file), `trained/${name}`);
    const value = (await source.readFloat64(`trained/${name}`))[1]!;
    const lossAt = async (moved: number) => {
      const bytes = await readFile(file);
      bytes.writeDoubleLE(moved, offset + 8);
      const other = join(folder, 'dora-moved.safetensors');
      await writeFile(other, bytes);
      await policy.restoreState(other);
      return (await policy.score(request)).logprobs!.reduce((a, b) => a + b, 0);
    };
    const step = 1e-5;
    const difference = ((await lossAt(value + step)) - (await lossAt(value - step))) / (2 * step);
    expect(gradients.get(name)!.data[1]).toBeCloseTo(difference, 7);
    expect(Math.abs(difference)).toBeGreaterThan(1e-4);
  });

  test('a reference that moves divides by norms of its own', async () => {
    await using policy = await Engine.open({ ...init(), lora, keepReference: 'moving' });
    await train(policy, 3);
    await policy.updateReference(1);
    expect((await policy.score({ ...request, of: 'reference' })).logprobs).toEqual(
      (await policy.score(request)).logprobs,
    );
    await train(policy, 1);
    expect((await policy.score({ ...request, of: 'reference' })).logprobs).not.toEqual(
      (await policy.score(request)).logprobs,
    );
  });
});

/** Where a tensor's numbers begin in a file. */
function placeOf(bytes: Buffer, name: string): { readonly offset: number } {
  const length = Number(bytes.readBigUInt64LE());
  const header = JSON.parse(bytes.toString('utf8', 8, 8 + length)) as Record<
    string,
    { data_offsets: [number, number] }
  >;
  return { offset: 8 + length + header[name]!.data_offsets[0] };
}

describe('a reference that moves', () => {
  const request = { trees: [pair], scores: ['logprobs'] } as const;
  const lora = { rank: 2, alpha: 4, targetModules: 'all-linear' } as const;
  const referenceOf = async (policy: Policy) => (await policy.score({ ...request, of: 'reference' })).logprobs!;

  test.each([
    ['whole model', { keepReference: true }],
    ['fresh LoRA', { keepReference: 'moving', lora }],
  ] as const)('%s: a mixture of 1 is the policy, smaller ones lie between', async (_, options) => {
    await using policy = await Engine.open({ ...init(), ...options });
    const start = await referenceOf(policy);
    expect(start).toEqual((await policy.score(request)).logprobs);
    await train(policy, 4);
    expect(await referenceOf(policy)).toEqual(start);
    await policy.updateReference(0.25);
    const between = await referenceOf(policy);
    expect(between).not.toEqual(start);
    await policy.updateReference(1);
    const { logprobs } = await policy.score(request);
    expect(await referenceOf(policy)).toEqual(logprobs);
    const distance = (a: Float64Array, b: Float64Array) => a.reduce((sum, x, i) => sum + Math.abs(x - b[i]!), 0);
    expect(distance(between, start)).toBeGreaterThan(1e-4);
    expect(distance(between, start)).toBeLessThan(distance(logprobs!, start));
    // Divergences are from where it stands now.
    const { reverseKl } = await policy.score({ ...request, scores: ['reverseKl'] });
    expect(Math.max(...reverseKl!)).toBeLessThan(1e-6);
  });

  test('each tensor is the mixture', async () => {
    const out = join(folder, 'mixed.safetensors');
    await using policy = await Engine.open({ ...init(), keepReference: true, dtype: 'float64' });
    await policy.saveState(out);
    const before = await tensorsOf(out);
    expect([...before.keys()].some((name) => name.startsWith('reference/'))).toBe(false);
    await train(policy, 2);
    await policy.updateReference(0.6);
    await policy.saveState(out);
    const after = await tensorsOf(out);
    const name = 'model.norm.weight';
    after.get(`reference/${name}`)!.forEach((value, i) => {
      expect(value).toBeCloseTo(0.6 * after.get(`trained/${name}`)![i]! + 0.4 * before.get(`trained/${name}`)![i]!, 15);
    });
  });

  test('is saved and restored with the policy', async () => {
    const file = join(folder, 'moving.safetensors');
    const open = () => Engine.open({ ...init(), keepReference: true });
    await using whole = await open();
    await train(whole, 2);
    await whole.updateReference(0.5);
    await whole.saveState(file);
    await train(whole, 2);
    await whole.updateReference(0.5);
    await using resumed = await open();
    await resumed.restoreState(file);
    await train(resumed, 2);
    await resumed.updateReference(0.5);
    expect(await referenceOf(resumed)).toEqual(await referenceOf(whole));
    await using without = await Engine.open(init());
    await expect(without.restoreState(file)).rejects.toThrow(/keepReference `moving`/);
    const early = join(folder, 'before-moving.safetensors');
    await using fresh = await open();
    await fresh.saveState(early);
    await expect(whole.restoreState(early)).rejects.toThrow(/open the policy anew/);
  });

  test('is refused where there is nothing that could move, and a mixture that is none', async () => {
    await using without = await Engine.open(init());
    await using base = await Engine.open({ ...init(), keepReference: true, lora });
    for (const policy of [without, base]) {
      await expect(policy.updateReference(0.5)).rejects.toMatchObject({ code: 'reference-fixed' });
      for (const mixture of [0, 1.5, Number.NaN]) {
        await expect(policy.updateReference(mixture)).rejects.toMatchObject({ code: 'mixture' });
      }
    }
  });

  test('a named model moves too', async () => {
    const out = join(folder, 'named');
    await using source = await Engine.open(init(9));
    await source.save(out);
    await using policy = await Engine.open({ ...init(), reference: out });
    await policy.updateReference(1);
    expect(await referenceOf(policy)).toEqual((await policy.score(request)).logprobs);
  });
});

test('without a kept reference it is gone after the first update, and an error says so', async () => {
  await using policy = await Engine.open(init());
  const request = { trees: [pair], scores: ['reverseKl'] } as const;
  expect((await policy.score(request)).reverseKl!.every((x) => Math.abs(x) < 1e-6)).toBe(true);
  await train(policy, 1);
  await expect(policy.score(request)).rejects.toThrow(/keepReference/);
});

test("a policy's pass tells the reference's log-probabilities as the reference does", async () => {
  await using policy = await Engine.open({ ...init(), keepReference: true });
  await train(policy, 2);
  const beside = { trees: [pair], scores: ['logprobs', 'reverseKl', 'referenceLogprobs'] as const, temperature: 0.7 };
  const { referenceLogprobs } = await policy.score(beside);
  const { logprobs } = await policy.score({ ...beside, scores: ['logprobs'], of: 'reference' });
  expect([...referenceLogprobs!]).toEqual([...logprobs!]);
  const { pullback } = await policy.vjp(beside);
  await pullback({ referenceLogprobs: Float64Array.from(logprobs!, () => 1) });
  for (const { data } of (await policy.gradients()).values()) expect(data.every((value) => value === 0)).toBe(true);
});

test('a pullback can be taken once and before weights change; released vjps leave no gradient', async () => {
  await using policy = await Engine.open(init());
  const vjp = await policy.vjp({ trees: [pair], scores: ['logprobs'] });
  const ones = { logprobs: Float64Array.from(vjp.scores.completionMask) };
  await vjp.pullback(ones);
  await expect(vjp.pullback(ones)).rejects.toMatchObject({ code: 'pullback-spent' });
  const bad = await policy.vjp({ trees: [pair], scores: ['logprobs'] });
  await expect(
    bad.pullback({ logprobs: Float64Array.from(vjp.scores.completionMask, () => Number.NaN) }),
  ).rejects.toMatchObject({
    code: 'cotangent-not-finite',
  });
  await policy.step(0);
  const dropped = await policy.vjp({ trees: [pair], scores: ['logprobs'] });
  await dropped.release();
  await expect(dropped.pullback(ones)).rejects.toMatchObject({ code: 'pullback-spent' });
  for (const { data } of (await policy.gradients()).values()) expect(data.every((value) => value === 0)).toBe(true);
  const waiting = await policy.vjp({ trees: [pair], scores: ['logprobs'] });
  await policy.step(1e-3);
  await expect(waiting.pullback(ones)).rejects.toMatchObject({ code: 'pullback-stale' });
  for (const { data } of (await policy.gradients()).values()) expect(data.every((value) => value === 0)).toBe(true);
});

test('a vjp of known log-probabilities can be pulled back once, before weights change, or only scored', async () => {
  await using policy = await openPolicy({ ...init(), keepReference: true });
  await train(policy, 1);
  const asked = { trees: [pair], scores: ['logprobs', 'referenceLogprobs', 'entropy'] } as const;
  const scores = await policy.score(asked);
  const known = { ...asked, logprobs: scores.logprobs! };
  const vjp = await policy.vjp(known);
  expect(await vjp.pullback({})).toEqual(scores);
  for (const { data } of (await policy.gradients()).values()) expect(data.every((value) => value === 0)).toBe(true);
  const ones = { logprobs: Float64Array.from(scores.completionMask) };
  await expect(vjp.pullback(ones)).rejects.toMatchObject({ code: 'pullback-spent' });
  const dropped = await policy.vjp(known);
  await dropped.release();
  await expect(dropped.pullback(ones)).rejects.toMatchObject({ code: 'pullback-spent' });
  const waiting = await policy.vjp(known);
  await policy.step(1e-3);
  await expect(waiting.pullback(ones)).rejects.toMatchObject({ code: 'pullback-stale' });
  for (const logprobs of [Float64Array.of(-1), scores.logprobs!.map(() => Number.NaN)])
    await expect(policy.vjp({ ...asked, logprobs })).rejects.toMatchObject({ code: 'known-logprobs' });
});

test.each([
  ['plain', {}, true],
  ['dynamic', { rope_scaling: { rope_type: 'dynamic', factor: 2 } }, false],
  ['a large vocabulary', { vocab_size: 8192 }, true],
] as const)('%s: how many tokens are taken forward and back at once', async (name, more, some) => {
  const file = join(folder, `${name}.json`);
  await writeFile(file, JSON.stringify({ ...tiny, ...more }));
  await using policy = await Engine.open({ init: { config: file, seed: 3 }, threads: 1 });
  const most = some ? Math.floor(2 ** 22 / Math.max(policy.info.vocabularySize, 4 * 2 * 16)) : 0;
  expect(policy.info.tokensAtOnce).toBe(most);
  await using thrifty = await Engine.open({ init: { config: file, seed: 3 }, threads: 1, keep: 'nothing' });
  expect(thrifty.info.tokensAtOnce).toBe(0);
});

test('a state that is refused changes nothing', async () => {
  const file = join(folder, 'other-state.safetensors');
  await using policy = await Engine.open(init());
  await train(policy, 1);
  await policy.saveState(file);
  const bytes = await readFile(file);
  await writeFile(
    file,
    Buffer.from(bytes.toString('latin1').replace('"v/model.norm.weight"', '"w/model.norm.weight"'), 'latin1'),
  );
  await train(policy, 1);
  const request = { trees: [pair], scores: ['logprobs'] } as const;
  const before = await policy.score(request);
  await expect(policy.restoreState(file)).rejects.toThrow(/`v\/model.norm.weight` is missing/);
  expect(await policy.score(request)).toEqual(before);
});

test('the hash knows the scaling of an adapter, and a named reference has a hash of its own', async () => {
  const lora = { rank: 2, alpha: 4, targetModules: ['q_proj'] };
  await using one = await Engine.open({ ...init(), lora });
  await using other = await Engine.open({ ...init(), lora: { ...lora, alpha: 8 } });
  await using root = await Engine.open({ ...init(), lora: { ...lora, rslora: true } });
  expect(new Set([one, other, root].map(({ info }) => info.hash)).size).toBe(3);
  expect(one.info.referenceHash).toBe(one.info.hash);
  const out = join(folder, 'reference');
  await using source = await Engine.open(init(9));
  await source.save(out);
  await using referred = await Engine.open({ ...init(), reference: out });
  expect(referred.info.referenceHash).not.toBe(referred.info.hash);
});

test('bad requests are refused before anything runs', async () => {
  await using policy = await Engine.open(init());
  const refused = async (call: Promise<unknown>, code: string) =>
    expect(call).rejects.toMatchObject({ name: 'KelpieError', code });
  await refused(policy.score({ trees: [], scores: ['logprobs'] }), 'empty-batch');
  await refused(policy.score({ trees: [pair], scores: [] }), 'scores');
  await refused(policy.score({ trees: [pair], scores: ['entropy', 'entropy'] }), 'scores');
  await refused(
    policy.score({ trees: [{ trunk: [], branches: [{ ids: [1, 2], scoreFrom: 1.5 }] }], scores: ['logprobs'] }),
    'token-row',
  );
  await refused(policy.sample({ prompts: [[1]], maxNewTokens: 2, temperature: -1 }), 'sampling');
  await refused(policy.sample({ prompts: [[1]], maxNewTokens: 2, topP: 0 }), 'sampling');
  await refused(policy.optimizer({ betas: [0.9, 1 - 1e-9] }), 'optimizer');
  await refused(policy.optimizer({ betas: [-0.1, 0.9] }), 'optimizer');
  for (const eps of [1e-60, -1e-8, 1e39]) await refused(policy.optimizer({ eps }), 'optimizer');
  await refused(policy.optimizer({ decay: ['nope'] }), 'decay');
  const { scores, pullback } = await policy.vjp({ trees: [pair], scores: ['logprobs'] });
  await refused(pullback({ entropy: Float64Array.from(scores.completionMask) }), 'cotangent-unasked');
});

test('logits that are no numbers stop sampling, and a gradient that is none leaves the policy usable', async () => {
  await using policy = await Engine.open(init());
  await expect(train(policy, 1).then(() => policy.step(Number.NaN))).resolves.toBeDefined();
  await expect(policy.sample({ prompts: [[1, 5]], maxNewTokens: 2 })).rejects.toMatchObject({
    code: 'logits-not-finite',
  });
});

test('a policy may be disposed twice', async () => {
  const policy = await openPolicy(init());
  await policy.dispose();
  await policy.dispose();
});

test('a pull of branches that share a source is a vjp and its pullback, its gradient to the last bit', async () => {
  await using policy = await openPolicy({ ...init(), keepReference: true });
  await train(policy, 1);
  const asked = { trees: [pair], scores: ['logprobs', 'reverseKl', 'entropy'], temperature: 0.7 } as const;
  const { scores, pullback } = await policy.vjp(asked);
  const cotangents = {
    logprobs: Float64Array.from(scores.completionMask, (mask, i) => mask * Math.sin(i + 1)),
    reverseKl: Float64Array.from(scores.completionMask, (mask, i) => mask * Math.cos(i)),
  };
  await pullback(cotangents);
  const gradients = await policy.gradients();
  await policy.step(0);
  const pulled = await policy.pull({ ...asked, cotangents });
  for (const name of asked.scores) expectClose(pulled[name]!, scores[name]!, name, 6);
  expect(await policy.gradients()).toEqual(gradients);
  await policy.step(0);
  expect(await policy.pull({ ...asked, cotangents: {} })).toEqual(scores);
  await expect(policy.pull({ ...asked, scores: ['entropy'], cotangents })).rejects.toMatchObject({
    code: 'cotangent-unasked',
  });
});

function expectClose(actual: ArrayLike<number>, expected: ArrayLike<number>, name = '', digits = 12): void {
  expect(actual.length, name).toBe(expected.length);
  for (let i = 0; i < expected.length; i++) expect(actual[i], `${name}[${i}]`).toBeCloseTo(expected[i]!, digits);
}

test('pulls of rows that share nothing, one run each, add up behind a step and behind a pullback', async () => {
  const row = (ids: readonly number[], scoreFrom: number) => ({ trunk: [], branches: [{ ids, scoreFrom }] });
  const parts = [[row([1, 4, 2, 7, 3], 2), row([5, 6, 1], 1)], [row([2, 2, 9, 4], 3)]];
  const options = { ...init(), dtype: 'float64', keepReference: true } as const;
  await using apart = await Engine.open(options);
  await using atOnce = await Engine.open(options);
  for (const policy of [apart, atOnce]) await train(policy, 1);
  const asked = (part: (typeof parts)[number]) =>
    ({ trees: part, scores: ['logprobs', 'reverseKl'], temperature: 0.7 }) as const;
  const cotangentsOf = (mask: Uint8Array) => ({
    logprobs: Float64Array.from(mask, (bit, i) => bit * Math.sin(i + 1)),
    reverseKl: Float64Array.from(mask, (bit, i) => bit * Math.cos(i)),
  });
  for (const begin of ['a step', 'a pullback']) {
    for (const [i, part] of parts.entries()) {
      const expected = await apart.vjp(asked(part));
      const cotangents = cotangentsOf(expected.scores.completionMask);
      await expected.pullback(cotangents);
      if (begin === 'a pullback' && i === 0) await (await atOnce.vjp(asked(part))).pullback(cotangents);
      else {
        const { logprobs, reverseKl } = await atOnce.pull({ ...asked(part), cotangents });
        expectClose(logprobs!, expected.scores.logprobs!);
        expectClose(reverseKl!, expected.scores.reverseKl!);
      }
    }
    const [own, other] = [await atOnce.gradients(), await apart.gradients()];
    for (const [name, { data }] of other) {
      expect(
        data.some((value) => value !== 0),
        name,
      ).toBe(true);
      expectClose(own.get(name)!.data, data, name);
    }
    for (const policy of [apart, atOnce]) await policy.step(1e-2);
  }
});

test('a gradient that is not finite updates nothing and is gone; an optimizer that is set again starts from no moments', async () => {
  await using policy = await Engine.open(init());
  const request = { trees: [pair], scores: ['logprobs'] } as const;
  const pull = async (cotangent: number) => {
    const { scores, pullback } = await policy.vjp(request);
    await pullback({ logprobs: Float64Array.from(scores.completionMask, (m) => m * cotangent) });
  };
  const before = await policy.score(request);
  await pull(3e38);
  await expect(policy.step(1e-2)).rejects.toMatchObject({ code: 'gradient-not-finite', where: { step: 0 } });
  expect(await policy.score(request)).toEqual(before);
  for (const { data } of (await policy.gradients()).values()) expect(data.every((x) => x === 0)).toBe(true);

  await pull(-1);
  await policy.step(1e-2);
  const after = await policy.score(request);
  await policy.optimizer({});
  expect(await policy.step(1e-2)).toEqual({ gradNorm: 0 });
  expect(await policy.score(request)).toEqual(after);
});
