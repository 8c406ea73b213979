import type { Cotangents, Engine, TokenScores, TokenTree } from '@kelpie/policy';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  allScores,
  cotangentsOf,
  distance,
  type Gradients,
  lossOf,
  normOf,
  openTiny,
  randomIds,
  randomOf,
  SEED,
  takeGradients,
  tinyModels,
} from './models.js';

const random = randomOf('micro-batches');

/** Eight prompts of several lengths with two completions each. */
const trees: readonly TokenTree[] = Array.from({ length: 8 }, (_, i) => {
  const length = 3 + (i % 4);
  return {
    trunk: randomIds(random, length),
    branches: [2 + (i % 5), 4 + (i % 3)].map((n) => ({ ids: randomIds(random, n), scoreFrom: length })),
  };
});

/** Rows `from` to `to` of the cotangents of a whole step, cut to the columns of a micro-batch's scores. */
function part(whole: Cotangents, columns: number, scores: TokenScores, from: number): Cotangents {
  return Object.fromEntries(
    allScores.map((name) => {
      const out = new Float64Array(scores.rows * scores.tokens);
      for (let r = 0; r < scores.rows; r++) {
        for (let t = 0; t < scores.tokens; t++) out[r * scores.tokens + t] = whole[name]![(from + r) * columns + t]!;
      }
      return [name, out];
    }),
  );
}

/** The step's gradient from micro-batches of `size` trees, and its loss. */
async function accumulated(engine: Engine, size: number): Promise<{ loss: number; gradients: Gradients }> {
  const all = await engine.score({ trees, scores: allScores });
  const whole = cotangentsOf(all);
  let loss = 0;
  for (let from = 0; from < trees.length; from += size) {
    const { scores, pullback } = await engine.vjp({ trees: trees.slice(from, from + size), scores: allScores });
    const cotangents = part(whole, all.tokens, scores, 2 * from);
    await pullback(cotangents);
    loss += lossOf(scores, cotangents);
  }
  return { loss, gradients: await takeGradients(engine) };
}

/** float32: the loss as it stands, a gradient in units of its tensor's norm. */
const tolerances = { float64: 1e-10, float32: 1e-5 } as const;

for (const model of tinyModels) {
  for (const dtype of ['float64', 'float32'] as const) {
    if (dtype === 'float64' && model.float32Only) continue;
    describe(`${model.name}, ${dtype}, seed ${SEED}`, () => {
      let engine: Engine;
      beforeAll(async () => {
        engine = await openTiny(model, { dtype });
      });
      afterAll(() => engine.dispose());

      test.each([1, 3, 4])('8 trees at once = micro-batches of %i', async (size) => {
        const whole = await accumulated(engine, 8);
        const parts = await accumulated(engine, size);
        expect(Math.abs(whole.loss - parts.loss)).toBeLessThan(tolerances[dtype]);
        for (const [name, { data }] of whole.gradients) {
          // A key bias without rotation has a gradient of zero, in float32 some 1e-9 of noise.
          const scale = Math.max(normOf(data), dtype === 'float32' ? 1e-2 : 1);
          const error = distance(data, parts.gradients.get(name)!.data) / scale;
          expect(error, name).toBeLessThan(tolerances[dtype]);
        }
      });
    });
  }
}

test('an update after 8 micro-batches leads where one after the whole batch does', async () => {
  const model = tinyModels[0]!;
  const [one, eight] = await Promise.all([openTiny(model), openTiny(model)]);
  const logprobs: Float64Array[] = [];
  for (const [engine, size] of [
    [one, 8],
    [eight, 1],
  ] as const) {
    await engine.optimizer({ weightDecay: 0.1, maxGradNorm: 1 });
    for (let step = 0; step < 3; step++) {
      for (let from = 0; from < trees.length; from += size) {
        const { scores, pullback } = await engine.vjp({ trees: trees.slice(from, from + size), scores: ['logprobs'] });
        await pullback({ logprobs: Float64Array.from(scores.completionMask, (mask) => -mask / 80) });
      }
      await engine.step(1e-2);
    }
    logprobs.push((await engine.score({ trees, scores: ['logprobs'] })).logprobs!);
  }
  // AdamW divides by the gradient's size: noise of 1e-16 in a gradient near zero grows.
  expect(distance(logprobs[0]!, logprobs[1]!)).toBeLessThan(1e-7);
  await Promise.all([one.dispose(), eight.dispose()]);
});
