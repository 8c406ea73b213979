import { afterEach, expect, test, vi } from 'vitest';
import { Passes } from '../../packages/policy/src/passes.js';
import {
  allScores,
  cotangentsOf,
  openTiny,
  randomIds,
  randomOf,
  row,
  SEED,
  takeGradients,
  tinyModels,
} from './models.js';

const random = randomOf('pulls');
const trees = [row(randomIds(random, 7), 3), row(randomIds(random, 4)), row(randomIds(random, 12), 2)];
const adapter = { rank: 2, alpha: 3, targetModules: 'all-linear' } as const;

afterEach(() => {
  vi.restoreAllMocks();
});

const cases = tinyModels.flatMap((model) =>
  (['float64', 'float32'] as const)
    .filter((dtype) => dtype === 'float32' || !model.float32Only)
    .flatMap((dtype) => [undefined, adapter].map((lora) => ({ model, dtype, lora }))),
);

test.each(
  cases.map((one) => ({ ...one, name: `${one.model.name}${one.lora ? ', LoRA' : ''}, ${one.dtype}, seed ${SEED}` })),
)('$name: one run is forward pass, head and backward pass; gradients add up', async ({ model, dtype, lora }) => {
  await using engine = await openTiny(model, { dtype, ...(lora && { lora }) });
  const request = { trees, scores: allScores, temperature: 0.8 };
  const expected = await engine.vjp(request);
  const cotangents = cotangentsOf(expected.scores);
  await expected.pullback(cotangents);
  await (await engine.vjp(request)).pullback(cotangents);
  const apart = await takeGradients(engine);
  const atOnce = vi.spyOn(Passes.prototype, 'pull');
  const scores = await engine.pull({ ...request, cotangents });
  await engine.pull({ ...request, cotangents });
  expect(atOnce).toHaveBeenCalledTimes(2);
  const together = await takeGradients(engine);
  const tolerance = dtype === 'float64' ? 1e-10 : 1e-4;
  for (const name of allScores) expect(apartBy(scores[name]!, expected.scores[name]!), name).toBeLessThan(tolerance);
  for (const [name, { data }] of apart) expect(apartBy(together.get(name)!.data, data), name).toBeLessThan(tolerance);
});

test.each(
  cases.map((one) => ({ ...one, name: `${one.model.name}${one.lora ? ', LoRA' : ''}, ${one.dtype}, seed ${SEED}` })),
)('$name: with log-probabilities that are known, all waits for the cotangents', async ({ model, dtype, lora }) => {
  await using engine = await openTiny(model, { dtype, ...(lora && { lora }) });
  const asked = { trees, scores: [...new Set([...allScores, 'referenceLogprobs' as const])], temperature: 0.8 };
  const tolerance = dtype === 'float64' ? 1e-10 : 1e-4;
  for (const names of [['logprobs'], allScores] as const) {
    const expected = await engine.vjp(asked);
    const all = cotangentsOf(expected.scores);
    const cotangents = Object.fromEntries(names.map((name) => [name, all[name]!]));
    await expected.pullback(cotangents);
    const before = await takeGradients(engine);
    const bodies = vi.spyOn(Passes.prototype, 'forward');
    const atOnce = vi.spyOn(Passes.prototype, 'pull');
    const later = await engine.vjp({ ...asked, logprobs: expected.scores.logprobs! });
    const { logprobs, referenceLogprobs, rows, tokens, completionMask, ...others } = later.scores;
    expect(others).toEqual({});
    expect({ logprobs, rows, tokens, completionMask }).toEqual({
      ...{ logprobs: expected.scores.logprobs, rows: expected.scores.rows, tokens: expected.scores.tokens },
      completionMask: expected.scores.completionMask,
    });
    expect(apartBy(referenceLogprobs!, expected.scores.referenceLogprobs!)).toBeLessThan(tolerance);
    const scores = await later.pullback(cotangents);
    expect([bodies.mock.calls.length, atOnce.mock.calls.length]).toEqual([1, 1]);
    for (const name of allScores) expect(apartBy(scores[name]!, expected.scores[name]!), name).toBeLessThan(tolerance);
    const together = await takeGradients(engine);
    for (const [name, { data }] of before)
      expect(apartBy(together.get(name)!.data, data), name).toBeLessThan(tolerance);
    vi.restoreAllMocks();
  }
});

test('a score that comes out of a run forward and back as no number is scored again', async () => {
  await using engine = await openTiny(tinyModels[0]!);
  const request = { trees, scores: ['logprobs', 'reverseKl'] } as const;
  const scores = await engine.score(request);
  const pull = Passes.prototype.pull;
  vi.spyOn(Passes.prototype, 'pull').mockImplementation(async function (this: Passes, ...args) {
    const values = await pull.apply(this, args);
    values.get('reverseKl')!.fill(Number.NaN);
    return values;
  });
  const cotangents = { logprobs: Float64Array.from(scores.completionMask) };
  expect(await engine.pull({ ...request, cotangents })).toEqual(scores);
});

/** Largest difference, in units of the largest number or 1. */
function apartBy(a: Float64Array, b: Float64Array): number {
  expect(a.length).toBe(b.length);
  const largest = b.reduce((most, x) => Math.max(most, Math.abs(x)), 1);
  return a.reduce((most, x, i) => Math.max(most, Math.abs(x - b[i]!)), 0) / largest;
}
