import { describe, expect, test } from 'vitest';
import { meanMetrics } from '../metrics.js';
import { weighted } from '../weighted.js';
import { apoZeroUnpaired } from './apo-zero-unpaired.js';
import { bco } from './bco.js';

function rows(desirable: readonly number[], undesirable: readonly number[]) {
  const logratios = [...desirable, ...undesirable];
  return {
    rows: logratios.length,
    tokens: 1,
    completionMask: new Uint8Array(logratios.length).fill(1),
    policy: { logprobs: Float64Array.from(logratios, (r) => r - 2) },
    reference: { logprobs: new Float64Array(logratios.length).fill(-2) },
    perRow: { labels: Uint8Array.from([...desirable.map(() => 1), ...undesirable.map(() => 0)]) },
  };
}

test('jung2024 eq 9: -log σ(reward - δ) of desirable, -log σ(δ - reward) of undesirable rows', () => {
  const { loss, details } = bco.evaluate(rows([1 + Math.log(3)], [1 - Math.log(3)]), { beta: 1 });
  expect(details!.delta![0]).toBeCloseTo(1, 15);
  expect(loss).toBeCloseTo(-Math.log(0.75), 15);
});

describe('the running mean', () => {
  test('holds this step before it is used', () => {
    const { state, details } = bco.evaluate(rows([3], [1]), { beta: 0.5 });
    expect(state).toEqual({ deltaMean: 1, deltaCount: 2 });
    expect(details!.delta![0]).toBe(1);
  });

  test('is that of all rows so far', () => {
    const first = bco.evaluate(rows([3], [1]), { beta: 1 });
    const { state, metrics } = bco.evaluate({ ...rows([6, 6], []), state: first.state! }, { beta: 1 });
    expect(state).toEqual({ deltaMean: 4, deltaCount: 4 });
    expect(meanMetrics(metrics).delta).toBe(4);
  });

  test('survives JSON to the last bit', () => {
    const first = bco.evaluate(rows([0.1], [0.2, 0.7]));
    const on = (state: Record<string, number>) => bco.evaluate({ ...rows([0.3], [1 / 3]), state });
    expect(on(JSON.parse(JSON.stringify(first.state)))).toEqual(on({ ...first.state }));
  });

  test('has to be whole and finite', () => {
    const broken = { ...rows([1], [2]), state: { deltaMean: Number.NaN } };
    expect(() => bco.evaluate(broken)).toThrowErrorMatchingInlineSnapshot(`
      [ObjectiveError: objective \`bco\`, \`state.deltaMean\`: expected a finite number, got NaN.
      objective \`bco\`, \`state.deltaCount\`: expected a finite number, got nothing.]
    `);
  });

  test('is kept by each term of a weighted sum', () => {
    const mixed = weighted([
      { objective: apoZeroUnpaired, weight: 1 },
      { objective: bco, options: { beta: 1 }, weight: 0.5 },
    ]);
    expect(mixed.state).toEqual({ '1.deltaMean': 0, '1.deltaCount': 0 });
    const first = mixed.evaluate(rows([3], [1]));
    expect(first.state).toEqual({ '1.deltaMean': 2, '1.deltaCount': 2 });
    expect(mixed.evaluate({ ...rows([6, 6], []), state: first.state! }).state).toEqual({
      '1.deltaMean': 4,
      '1.deltaCount': 4,
    });
  });
});

describe('density ratios', () => {
  const input = rows([0], [0, 0, 0]);
  const perRow = { ...input.perRow, densityRatios: Float64Array.of(7, 0.1, 2, 100) };

  test('weigh undesirable rows, within their bounds', () => {
    const { losses } = bco.evaluate({ ...input, perRow }, { densityRatio: true }).details!;
    expect([...losses!].map((loss) => loss / Math.LN2)).toEqual([1, 0.5, 2, 10].map((w) => expect.closeTo(w, 14)));
  });

  test('are asked for only where they are used', () => {
    expect(bco.evaluate(input).loss).toBeCloseTo(Math.LN2, 15);
    expect(() => bco.evaluate(input, { densityRatio: true })).toThrow(/perRow.densityRatios/);
  });
});
