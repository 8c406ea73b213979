import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Completion, Engine, openPolicy } from '@kelpie/policy';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Truncation } from '../../packages/policy/src/decode/choose.js';
import { distance, openTiny, randomIds, randomOf, row, SEED, tinyModels, VOCABULARY, writeConfig } from './models.js';

const random = randomOf('decode');
/** Of several lengths: with 8 new tokens, each crosses the border of length-dependent rotations, 9, at its own time. */
const prompts = [6, 2, 8, 5].map((length) => randomIds(random, length));
const NEW = 8;

const tolerances = { float64: 1e-10, float32: 1e-4 } as const;

function logSoftmax(logits: ArrayLike<number>): number[] {
  const x = Array.from(logits);
  const top = Math.max(...x);
  const log = top + Math.log(x.reduce((sum, value) => sum + Math.exp(value - top), 0));
  return x.map((value) => value - log);
}

function argmax(x: readonly number[]): number {
  return x.indexOf(Math.max(...x));
}

/** log p(· | ids), from the whole sequence at once. */
async function next(engine: Engine, ids: readonly number[]): Promise<number[]> {
  return logSoftmax((await engine.logits(ids)).subarray((ids.length - 1) * VOCABULARY));
}

const idsOf = (completions: readonly Completion[]) => completions.map(({ ids }) => ids);

for (const model of tinyModels) {
  for (const dtype of ['float64', 'float32'] as const) {
    if (dtype === 'float64' && model.float32Only) continue;
    describe(`${model.name}, ${dtype}, seed ${SEED}`, () => {
      let engine: Engine;
      beforeAll(async () => {
        engine = await openTiny(model, { dtype });
      });
      afterAll(() => engine.dispose());

      test("the sampler's log-probabilities are the model's at each beginning", async () => {
        const sampled = await engine.sample({ prompts, completions: 2, maxNewTokens: NEW, seed: SEED });
        expect(sampled.map(({ prompt }) => prompt)).toEqual([0, 0, 1, 1, 2, 2, 3, 3]);
        for (const { prompt, ids, logprobs, ended } of sampled) {
          expect(ended).toBe(false);
          expect(ids).toHaveLength(NEW);
          const expected: number[] = [];
          for (const [t, id] of ids.entries()) {
            expected.push((await next(engine, [...prompts[prompt]!, ...ids.slice(0, t)]))[id]!);
          }
          expect(distance(logprobs, expected)).toBeLessThan(tolerances[dtype]);
        }
      });

      test("the sampler's log-probabilities are the scorer's", async () => {
        // A whole row takes the angles of its own length: where these change on the way, the row is scored token by token.
        const sampled = await engine.sample({ prompts, completions: 2, maxNewTokens: NEW, seed: SEED + 1 });
        for (const { prompt, ids, logprobs } of sampled) {
          const start = prompts[prompt]!.length;
          const path = [...prompts[prompt]!, ...ids];
          const { border = Number.POSITIVE_INFINITY } = model;
          const fits = path.length <= border ? ids.length : Math.max(0, border - start);
          if (fits === 0) continue;
          const { logprobs: scored } = await engine.score({
            trees: [row(path.slice(0, start + fits), start)],
            scores: ['logprobs'],
          });
          expect(distance(logprobs.subarray(0, fits), scored!)).toBeLessThan(tolerances[dtype]);
        }
      });

      test('greedy takes the most probable token of the scored row', async () => {
        const sampled = await engine.sample({ prompts, maxNewTokens: NEW, temperature: 0 });
        for (const { prompt, ids } of sampled) {
          for (const [t, id] of ids.entries()) {
            const p = await next(engine, [...prompts[prompt]!, ...ids.slice(0, t)]);
            expect(p[id]).toBeGreaterThan(p[argmax(p)]! - tolerances[dtype]);
          }
        }
      });

      test('a completion does not depend on what it is decoded beside', async () => {
        const request = { maxNewTokens: NEW, seed: SEED, temperature: 1.3 } as const;
        const four = idsOf(await engine.sample({ ...request, prompts, completions: 4 }));
        expect(new Set(four.map((ids) => ids.join())).size).toBeGreaterThan(8);
        const two = idsOf(await engine.sample({ ...request, prompts, completions: 2 }));
        expect(two).toEqual(four.filter((_, i) => i % 4 < 2));
        const first = idsOf(await engine.sample({ ...request, prompts: [prompts[0]!], completions: 4 }));
        expect(first).toEqual(four.slice(0, 4));
        const others = [prompts[0]!, [1], prompts[2]!.slice(1), prompts[3]!];
        const beside = idsOf(await engine.sample({ ...request, prompts: others, completions: 4 }));
        expect(beside.slice(0, 4)).toEqual(four.slice(0, 4));
        expect(beside.slice(12)).toEqual(four.slice(12));
        // More than are decoded at once.
        const many = idsOf(await engine.sample({ ...request, prompts, completions: 40 }));
        expect(many.filter((_, i) => i % 40 < 4)).toEqual(four);
        const again = idsOf(await engine.sample({ ...request, prompts, completions: 4 }));
        expect(again).toEqual(four);
        const otherSeed = idsOf(await engine.sample({ ...request, prompts, completions: 4, seed: SEED + 1 }));
        expect(otherSeed).not.toEqual(four);
      });

      test('a completion does not depend on how many are decoded side by side, nor on who leaves and enters', async () => {
        const request = { prompts, completions: 3, maxNewTokens: NEW, seed: SEED, temperature: 2 } as const;
        const free = await engine.sample(request);
        // The token that ends completions at the most different lengths.
        const lengthsUnder = (stop: number) => new Set(free.map(({ ids }) => (ids.indexOf(stop) + NEW) % NEW)).size;
        const stop = Array.from({ length: VOCABULARY }, (_, id) => id).sort(
          (a, b) => lengthsUnder(b) - lengthsUnder(a),
        );
        const all = await engine.sample({ ...request, stop: stop.slice(0, 1) });
        expect(new Set(all.map(({ ids }) => ids.length)).size).toBeGreaterThan(2);
        for (const rows of [1, 2, 7]) {
          const few = await engine.sample({ ...request, stop: stop.slice(0, 1), rows });
          expect(idsOf(few)).toEqual(idsOf(all));
          few.forEach(({ prompt, ended, logprobs }, i) => {
            expect({ prompt, ended }).toEqual({ prompt: all[i]!.prompt, ended: all[i]!.ended });
            expect(distance(logprobs, all[i]!.logprobs)).toBeLessThan(tolerances[dtype]);
          });
        }
      });

      test('a stop token ends a completion, stays in it and changes nothing before it', async () => {
        const request = { prompts, completions: 4, maxNewTokens: NEW, seed: SEED } as const;
        const free = await engine.sample(request);
        const stop = [free[0]!.ids[2]!, free[5]!.ids[5]!];
        const stopped = await engine.sample({ ...request, stop });
        expect(stopped.some(({ ended }) => ended)).toBe(true);
        stopped.forEach(({ ids, logprobs, ended }, i) => {
          const end = free[i]!.ids.findIndex((id) => stop.includes(id));
          expect(ended).toBe(end >= 0);
          expect(ids).toEqual(end < 0 ? free[i]!.ids : free[i]!.ids.slice(0, end + 1));
          expect(distance(logprobs, free[i]!.logprobs.subarray(0, ids.length))).toBeLessThan(tolerances[dtype]);
        });
      });
    });
  }
}

// --- weights that change -------------------------------------------------------------------------------------------

/** Its q, k and v, and gate and up, are taken together. */
const stackedModel = tinyModels.find(({ name }) => name === 'llama default')!;

/** Rows alone read turned copies of its head and its gate and up. */
const wideModel = {
  name: 'llama of wide matrices',
  config: { ...stackedModel.config, vocab_size: 2051, intermediate_size: 2051, initializer_range: 0.1 },
};
/** The head is the embedding, of which lookups read rows. */
const tiedModel = { name: 'llama of wide matrices, tied', config: { ...wideModel.config, tie_word_embeddings: true } };
const wideGpt2 = {
  name: 'gpt2 of a wide head',
  config: { ...tinyModels.find(({ name }) => name.startsWith('gpt2'))!.config, vocab_size: 2051 },
};

/** Draws of one row, of few and of many have the scorer's log-probabilities. */
async function agree(engine: Engine, dtype: 'float32' | 'float64', of: 'policy' | 'reference' = 'policy') {
  for (const rows of [1, 2, 8]) {
    const sampled = await engine.sample({ prompts, completions: 2, maxNewTokens: NEW, seed: SEED, rows, of });
    for (const { prompt, ids, logprobs } of sampled) {
      const start = prompts[prompt]!.length;
      const trees = [row([...prompts[prompt]!, ...ids], start)];
      const { logprobs: scored } = await engine.score({ trees, scores: ['logprobs'], of });
      expect(distance(logprobs, scored!)).toBeLessThan(tolerances[dtype]);
    }
  }
}

const folder = mkdtempSync(join(tmpdir(), 'kelpie-decode-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const changing = [tinyModels[0]!, wideModel, tiedModel, wideGpt2].flatMap((model) =>
  (['float64', 'float32'] as const).map((dtype) => ({ model, name: model.name, dtype })),
);
test.each(changing)(
  '$name, $dtype: draws are of the newest weights, after an update and a move',
  async ({ model, name, dtype }) => {
    const engine = await Engine.open({
      init: { config: writeConfig(model), seed: SEED },
      dtype,
      threads: 1,
      keepReference: 'moving',
    });
    await engine.optimizer({ maxGradNorm: 0, eps: 1e-3 });
    const both = async () => {
      await agree(engine, dtype);
      await agree(engine, dtype, 'reference');
    };
    const file = join(folder, `${name}-${dtype}.safetensors`);
    for (let i = 0; i < 2; i++) {
      await both();
      if (i === 1) await engine.saveState(file);
      const { scores, pullback } = await engine.vjp({ trees: [row(prompts[0]!)], scores: ['logprobs'] });
      await pullback({ logprobs: scores.logprobs!.map(() => -1) });
      await engine.step(0.1);
      await both();
      await engine.updateReference(0.5);
    }
    await both();
    await engine.restoreState(file);
    await both();
    await engine.dispose();
  },
);

const adapted = [stackedModel, wideModel].flatMap((model) =>
  (['float64', 'float32'] as const).flatMap((dtype) =>
    ['q_proj', 'gate_proj', 'up_proj', 'down_proj'].map((module) => ({ model, name: model.name, dtype, module })),
  ),
);
test.each(adapted)('$name, $dtype: an adapter on $module alone', async ({ model, dtype, module }) => {
  const engine = await openTiny(model, { dtype, lora: { rank: 2, alpha: 4, targetModules: [module] } });
  await agree(engine, dtype);
  await agree(engine, dtype, 'reference');
  await engine.dispose();
});

// --- truncation --------------------------------------------------------------------------------------------------

/** Probabilities after transformers' processors, in their order, each written as its definition. */
function truncated(logits: readonly number[], { temperature = 1, topK = 0, topP = 1, minP = 0 }: Truncation): number[] {
  const normalised = (p: readonly number[]) => p.map((x) => x / p.reduce((a, b) => a + b, 0));
  let p = logSoftmax(logits.map((x) => x / temperature)).map(Math.exp);
  // Fewer than k are larger.
  if (topK > 0) p = normalised(p.map((x) => (p.filter((y) => y > x).length < topK ? x : 0)));
  // The larger ones do not hold that much yet.
  if (topP < 1) p = normalised(p.map((x) => (p.filter((y) => y > x).reduce((a, b) => a + b, 0) < topP ? x : 0)));
  if (minP > 0) p = normalised(p.map((x) => (x >= minP * Math.max(...p) ? x : 0)));
  return p;
}

test('a model samples from the kept tokens alone, and from all of them', async () => {
  const engine = await openTiny(tinyModels[0]!);
  const [prompt] = prompts;
  const logits = Array.from((await engine.logits(prompt!)).subarray((prompt!.length - 1) * VOCABULARY));
  const untruncated = logSoftmax(logits);
  for (const truncation of [{ topK: 3, temperature: 1.5 }, { topP: 0.7 }, { minP: 0.2 }, { topK: 6, minP: 0.1 }]) {
    const p = truncated(logits, truncation);
    const drawn = await engine.sample({
      prompts: [prompt!],
      completions: 600,
      maxNewTokens: 1,
      seed: SEED,
      ...truncation,
    });
    const counts = new Float64Array(VOCABULARY);
    for (const { ids, logprobs } of drawn) {
      counts[ids[0]!] = counts[ids[0]!]! + 1;
      // Of the distribution at temperature 1 with nothing cut off.
      expect(logprobs[0]).toBeCloseTo(untruncated[ids[0]!]!, 9);
    }
    p.forEach((x, id) => {
      if (x === 0) expect(counts[id]).toBe(0);
      // Five standard deviations.
      else expect(Math.abs(counts[id]! / 600 - x)).toBeLessThan(5 * Math.sqrt((x * (1 - x)) / 600) + 1e-9);
    });
  }
  await engine.dispose();
});

// --- runs of several tokens --------------------------------------------------------------------------------------

test.each(
  tinyModels
    .filter(({ name }) => ['llama default', 'gpt2'].includes(name))
    .flatMap((model) =>
      (['float64', 'float32'] as const).flatMap((dtype) =>
        [1, 3, 8].map((rows) => ({ name: model.name, model, dtype, rows })),
      ),
    ),
)('$name, $dtype: long completions that end at their own time, $rows side by side', async ({ model, dtype, rows }) => {
  const engine = await openTiny(model, { dtype });
  const request = { prompts, completions: 2, maxNewTokens: 50, seed: SEED, rows, temperature: 1.5 } as const;
  const free = await engine.sample(request);
  // A token that some draw early, and some late or never.
  const endsUnder = (stop: number) => free.map(({ ids }) => (ids.includes(stop) ? ids.indexOf(stop) + 1 : ids.length));
  const spread = (stop: number) => new Set(endsUnder(stop)).size;
  const stop = Array.from({ length: VOCABULARY }, (_, id) => id).reduce((a, b) => (spread(b) > spread(a) ? b : a));
  const ends = endsUnder(stop);
  expect(new Set(ends).size).toBeGreaterThan(3);
  const told: number[] = [];
  const onToken = ({ prompt, completion }: { prompt: number; completion: number }) => {
    told[2 * prompt + completion] = (told[2 * prompt + completion] ?? 0) + 1;
  };
  const stopped = await engine.sample({ ...request, stop: [stop] }, { onToken });
  expect(told).toEqual(ends);
  for (const [i, { prompt, ids, logprobs, drawnLogprobs, ended }] of stopped.entries()) {
    expect(ids).toEqual(free[i]!.ids.slice(0, ends[i]));
    expect(ended).toBe(ids.at(-1) === stop);
    expect(drawnLogprobs).toHaveLength(ids.length);
    const { logprobs: scored } = await engine.score({
      trees: [row([...prompts[prompt]!, ...ids], prompts[prompt]!.length)],
      scores: ['logprobs'],
    });
    expect(distance(logprobs, scored!)).toBeLessThan(tolerances[dtype]);
  }
  await engine.dispose();
});

test.each(
  tinyModels
    .filter(({ name }) => ['llama default', 'gpt2'].includes(name))
    .flatMap((model) =>
      [{ topP: 0.7 }, { topK: 5, topP: 0.8 }, { topK: 3 }, { minP: 0.2 }, { temperature: 0 }].map((truncation) => ({
        ...{ name: model.name, model, truncation },
      })),
    ),
)('$name: long completions drawn with $truncation', async ({ model, truncation }) => {
  const engine = await openTiny(model);
  for (const { prompt, ids, logprobs, drawnLogprobs } of await engine.sample({
    ...{ prompts, completions: 2, maxNewTokens: 20, seed: SEED },
    ...truncation,
  })) {
    expect(ids).toHaveLength(20);
    for (const [t, id] of ids.entries()) {
      const logits = await next(engine, [...prompts[prompt]!, ...ids.slice(0, t)]);
      expect(logprobs[t]).toBeCloseTo(logits[id]!, 9);
      if (drawnLogprobs === undefined) expect(logits[id]).toBeCloseTo(Math.max(...logits), 9);
      else expect(drawnLogprobs[t]).toBeCloseTo(Math.log(truncated(logits, truncation)[id]!), 9);
    }
  }
  await engine.dispose();
});

// --- adapters, streams -------------------------------------------------------------------------------------------

test.each(tinyModels.filter(({ name }) => ['llama default', 'gpt2'].includes(name)))(
  '$name: with an adapter, few rows and many',
  async (model) => {
    const engine = await openTiny(model, { lora: { rank: 2, alpha: 4, targetModules: 'all-linear' } });
    for (const completions of [1, 3]) {
      for (const { prompt, ids, logprobs } of await engine.sample({
        prompts,
        completions,
        maxNewTokens: 4,
        seed: SEED,
      })) {
        const { logprobs: scored } = await engine.score({
          trees: [row([...prompts[prompt]!, ...ids], prompts[prompt]!.length)],
          scores: ['logprobs'],
        });
        expect(distance(logprobs, scored!)).toBeLessThan(1e-10);
      }
    }
    await engine.dispose();
  },
);

test('tokens are told as they are chosen, and sampling stops between two steps', async () => {
  const engine = await openTiny(tinyModels[0]!);
  const request = { prompts, completions: 2, maxNewTokens: NEW, seed: SEED, rows: 3 };
  const told = new Map<string, { ids: number[]; logprobs: number[] }>();
  const sampled = await engine.sample(request, {
    onToken: ({ prompt, completion, id, logprob }) => {
      const key = `${prompt}/${completion}`;
      const { ids, logprobs } = told.get(key) ?? { ids: [], logprobs: [] };
      told.set(key, { ids: [...ids, id], logprobs: [...logprobs, logprob] });
    },
  });
  sampled.forEach(({ prompt, ids, logprobs }, i) => {
    expect(told.get(`${prompt}/${i % 2}`)).toEqual({ ids, logprobs: [...logprobs] });
  });

  const controller = new AbortController();
  let count = 0;
  const onToken = () => {
    if (++count === 5) controller.abort(new Error('enough'));
  };
  await expect(engine.sample(request, { signal: controller.signal, onToken })).rejects.toThrow('enough');
  expect(count).toBe(6);
  await engine.dispose();
});

test('tokens are told across threads', async () => {
  const config = { model_type: 'gpt2', vocab_size: 5, n_embd: 8, n_layer: 1, n_head: 2, n_positions: 16 };
  const policy = await openPolicy({ init: { config: writeConfig({ config }), seed: SEED }, threads: 1 });
  const told: number[] = [];
  const request = { prompts: [[1, 2]], maxNewTokens: 6, seed: SEED };
  const [completion] = await policy.sample(request, { onToken: ({ id }) => told.push(id) });
  expect(told).toEqual(completion!.ids);
  await expect(policy.sample({ ...request, rows: 0 })).rejects.toThrow('`rows`');
  await policy.dispose();
});

// --- ends of the context -----------------------------------------------------------------------------------------

test.each(tinyModels.filter(({ border }) => border !== undefined))(
  '$name: decoding goes on where the angles change, and beyond the context length',
  async (model) => {
    const engine = await openTiny(model);
    const [completion] = await engine.sample({ prompts: [prompts[0]!], maxNewTokens: 70, seed: SEED });
    expect(completion!.ids).toHaveLength(70);
    const path = [...prompts[0]!, ...completion!.ids];
    expect(completion!.logprobs.at(-1)).toBeCloseTo((await next(engine, path.slice(0, -1)))[path.at(-1)!]!, 10);
    await engine.dispose();
  },
);

test('learned positions: the last token needs none', async () => {
  const config = {
    model_type: 'gpt2',
    vocab_size: 5,
    n_embd: 8,
    n_layer: 1,
    n_head: 2,
    n_positions: 6,
    initializer_range: 0.5,
  };
  const file = writeConfig({ config });
  const engine = await Engine.open({ init: { config: file, seed: SEED }, dtype: 'float64', threads: 1 });
  const sampled = await engine.sample({
    prompts: [
      [1, 2],
      [1, 2, 3, 4, 0, 1],
    ],
    maxNewTokens: 20,
    seed: SEED,
  });
  expect(sampled.map(({ ids }) => ids.length)).toEqual([5, 1]);
  for (const [i, start] of [2, 6].entries()) {
    const ids = [
      ...[
        [1, 2],
        [1, 2, 3, 4, 0, 1],
      ][i]!,
      ...sampled[i]!.ids,
    ];
    const { logprobs } = await engine.score({ trees: [row(ids, start)], scores: ['logprobs'] });
    expect(distance(logprobs!, sampled[i]!.logprobs)).toBeLessThan(1e-10);
    await expect(engine.score({ trees: [row([...ids, 0])], scores: ['logprobs'] })).rejects.toThrow('8 tokens');
  }
  const { scores, pullback } = await engine.vjp({ trees: [row([1, 2, 3, 4, 0, 1, 2])], scores: ['logprobs'] });
  await pullback({ logprobs: scores.logprobs!.map(() => 1) });
  const gradients = await engine.gradients();
  expect([...gradients.values()].every(({ data }) => data.every(Number.isFinite))).toBe(true);
  await engine.dispose();
});
