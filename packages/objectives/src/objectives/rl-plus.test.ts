import { describe, expect, test } from 'vitest';
import { oneTokenRows } from '../testing/rows-of.js';
import { rlPlus } from './rl-plus.js';

/** π = 3/4 and π_old = 1/2, own and external. */
const input = oneTokenRows({
  logprobs: [Math.log(0.75), Math.log(0.75)],
  oldLogratios: [Math.log(1.5), Math.log(1.5)],
  advantages: [1, 2],
  perRow: { external: [0, 1] },
});

describe('dong2025', () => {
  test('external rows: 4π/(1 + 3π_old), times the root of 1 - π', () => {
    const { details, loss, cotangents } = rlPlus.evaluate(input);
    expect(details!.externalRatios![1]).toBeCloseTo(3 / 2.5, 14);
    expect(details!.exploration![1]).toBeCloseTo(0.5, 14);
    expect(loss).toBeCloseTo((-1.5 - 2 * 0.5 * 1.2) / 2, 14);
    expect([...cotangents.logprobs!]).toEqual([-0.75, -0.6].map((x) => expect.closeTo(x, 14)));
  });

  test('own rows are plain ratios, clipped only on demand', () => {
    const { cotangents, details } = rlPlus.evaluate(input, { clip: true });
    expect(cotangents.logprobs![0]).toBe(0);
    expect(details!.losses![0]).toBeCloseTo(-1.2, 14);
    expect(cotangents.logprobs![1]).toBeCloseTo(-0.6, 14);
  });

  test('a behaviour policy that is known: 2π/(π_ω + π_old)', () => {
    const given = { ...input, perToken: { ...input.perToken, behaviourLogprobs: Float64Array.of(0, Math.log(0.25)) } };
    expect(rlPlus.evaluate(given, { behaviour: 'given' }).details!.externalRatios![1]).toBeCloseTo(2, 14);
    expect(() => rlPlus.evaluate(input, { behaviour: 'given' })).toThrow('`perToken.behaviourLogprobs`');
  });

  test('the budget divides alone: two rows count twice', () => {
    const { loss } = rlPlus.evaluate(input, { aggregation: 'budget', tokenBudget: 10 });
    expect(loss).toBeCloseTo(-2.7 / 10, 14);
  });
});
