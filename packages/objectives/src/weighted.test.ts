import { describe, expect, test } from 'vitest';
import { addTotals, countTotals } from './input.js';
import { meanMetrics } from './metrics.js';
import { dpo, sft } from './objectives/index.js';
import { testObjective } from './testing/index.js';
import { weighted } from './weighted.js';

const mixture = weighted([
  { objective: dpo, options: { beta: 0.5, labelSmoothing: 0.1 }, weight: 0.8 },
  { objective: sft, weight: 1.5 },
]);

for (const { name, run } of testObjective(mixture)) test(`shared checks: ${name}`, run);

/** Two pairs; chosen completions of two tokens and one. */
const pairs = {
  rows: 4,
  tokens: 2,
  completionMask: Uint8Array.of(1, 1, 1, 0, 1, 0, 1, 1),
  policy: { logprobs: Float64Array.of(-1, -2, -3, 0, -6, 0, -1, -1) },
  reference: { logprobs: Float64Array.of(-2, -2, -2, 0, -5, 0, -1, -2) },
};

test('dpo and sft on the chosen side are dpo with nllWeight, times a weight', () => {
  const { loss, cotangents } = mixture.evaluate(pairs);
  const same = dpo.evaluate(pairs, { beta: 0.5, labelSmoothing: 0.1, nllWeight: 1.5 / 0.8 });
  expect(loss).toBeCloseTo(0.8 * same.loss, 14);
  cotangents.logprobs!.forEach((value, at) => {
    expect(value).toBeCloseTo(0.8 * same.cotangents.logprobs![at]!, 14);
  });
});

test('details tell the parts, without their weights', () => {
  const { loss, details } = mixture.evaluate(pairs);
  const [preference, likelihood] = details!.parts!;
  expect(preference).toBe(dpo.evaluate(pairs, { beta: 0.5, labelSmoothing: 0.1 }).loss);
  expect(likelihood).toBe((1 + 2 + 6) / 3);
  expect(loss).toBeCloseTo(0.8 * preference! + 1.5 * likelihood!, 14);
});

test('a weight of 0 leaves the metrics', () => {
  const likelihood = weighted([
    { objective: dpo, weight: 0 },
    { objective: sft, weight: 1 },
  ]);
  const { loss, metrics, cotangents } = likelihood.evaluate(pairs);
  expect(loss).toBe((1 + 2 + 6) / 3);
  expect([...cotangents.logprobs!]).toEqual([-1 / 3, -1 / 3, 0, 0, -1 / 3, 0, 0, 0]);
  expect(meanMetrics(metrics)).toEqual(meanMetrics(dpo.evaluate(pairs).metrics));
});

test("the chosen side is averaged over the step's chosen tokens", () => {
  const totals = addTotals([countTotals('pairs', pairs), countTotals('pairs', pairs)]);
  const likelihood = weighted([
    { objective: dpo, weight: 0 },
    { objective: sft, weight: 1 },
  ]);
  expect(likelihood.evaluate({ ...pairs, totals }).loss).toBe(1.5);
});

describe('of two dpo', () => {
  const twice = weighted([
    { objective: dpo, options: { beta: 0.5 }, weight: 2 },
    { objective: dpo, options: { beta: 1 }, weight: 1 },
  ]);

  test('the known loss at the reference adds up', () => {
    expect(twice.atReference!({})).toBe(3 * Math.LN2);
  });

  test("the first one's metrics count", () => {
    expect(twice.evaluate(pairs).metrics).toEqual(dpo.evaluate(pairs, { beta: 0.5 }).metrics);
  });

  test('the name tells terms, weights and options', () => {
    expect(twice.name).toMatchInlineSnapshot(
      `"2 dpo {"beta":0.5,"labelSmoothing":0,"nllWeight":0,"nllReduction":"tokens"} + 1 dpo {"beta":1,"labelSmoothing":0,"nllWeight":0,"nllReduction":"tokens"}"`,
    );
  });
});

test('terms on rows of other kinds, weights that are no numbers, no terms', () => {
  const groups = { ...sft, rows: 'groups' as const };
  const messageOf = (terms: Parameters<typeof weighted>[0]) => {
    try {
      return weighted(terms).name;
    } catch (error) {
      return (error as Error).message.replace('objective `weighted`: ', '');
    }
  };
  expect(
    messageOf([
      { objective: dpo, weight: 1 },
      { objective: groups, weight: 1 },
    ]),
  ).toBe('expected terms on the same kind of rows, got pairs and groups.');
  expect(messageOf([{ objective: dpo, weight: Number.NaN }])).toBe('expected finite weights, got NaN.');
  expect(messageOf([])).toBe('expected at least one term, got none.');
});
