import { describe, expect, test } from 'vitest';
import { certify } from '../certify/index.js';
import { dpo } from './dpo.js';
import { xpo } from './xpo.js';

/** One pair of one-token completions with these logratios; the reference's stands below or above. */
function pair(chosen: number, rejected: number, external: readonly [number, number]) {
  return {
    rows: 2,
    tokens: 1,
    completionMask: Uint8Array.of(1, 1),
    policy: { logprobs: Float64Array.of(chosen - 2, rejected - 2) },
    reference: { logprobs: Float64Array.of(-2, -2) },
    perRow: { external: Uint8Array.from(external) },
  };
}

describe('xie2024', () => {
  test('without the bonus it is DPO', () => {
    const input = pair(0.3, -0.4, [0, 1]);
    const { loss, cotangents } = xpo.evaluate(input, { alpha: 0 });
    const plain = dpo.evaluate(input);
    expect(loss).toBe(plain.loss);
    expect(cotangents).toEqual(plain.cotangents);
  });

  test.each([
    ['rejected', [0, 1], 1],
    ['chosen', [1, 0], 0],
  ] as const)("the bonus is the reference's completion's, be it %s", (_, external, row) => {
    const input = pair(0.3, -0.4, external);
    const { loss, cotangents, details } = xpo.evaluate(input, { alpha: 0.5 });
    const plain = dpo.evaluate(input);
    const bonus = 0.5 * input.policy.logprobs[row]!;
    expect(loss).toBeCloseTo(plain.loss + bonus, 14);
    expect(details!.explorationLosses![0]).toBeCloseTo(bonus, 14);
    expect(details!.losses![0]).toBe(plain.loss);
    expect(cotangents.logprobs![row]! - plain.cotangents.logprobs![row]!).toBeCloseTo(0.5, 14);
    expect(cotangents.logprobs![1 - row]).toBe(plain.cotangents.logprobs![1 - row]);
  });

  test('ipo: the squared distance of the summed margin from 1/(2 beta)', () => {
    const { loss, cotangents } = xpo.evaluate(pair(0.3, -0.4, [0, 1]), { alpha: 0, beta: 0.5, loss: 'ipo' });
    expect(loss).toBeCloseTo((0.7 - 1) ** 2, 14);
    expect(cotangents.logprobs![0]).toBeCloseTo(2 * (0.7 - 1), 14);
    expect(cotangents.logprobs![1]).toBeCloseTo(-2 * (0.7 - 1), 14);
  });

  test('comes to rest where it says', () => {
    const fixed = certify(xpo).checks.find(({ name }) => name === 'fixed point')!;
    expect(fixed, fixed.text).toMatchObject({ passed: true });
  });

  test('wrong options are refused', () => {
    expect(() => xpo.evaluate(pair(0, 0, [0, 1]), { alpha: -1 })).toThrow(/`alpha`/);
    expect(() => xpo.evaluate(pair(0, 0, [0, 1]), { loss: 'hinge' as 'ipo' })).toThrow(/`loss`/);
  });
});
