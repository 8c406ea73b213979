import { describe, expect, test } from 'vitest';
import { fSft } from './f-sft.js';

const divergences = ['pearson-chi2', 'squared-hellinger', 'reverse-kl', 'js'] as const;

/** One completion whose summed logratio is `r`. */
function row(r: number) {
  return {
    rows: 1,
    tokens: 2,
    completionMask: Uint8Array.of(1, 1),
    policy: { logprobs: Float64Array.of(r - 1, -1) },
    reference: { logprobs: Float64Array.of(-1, -1) },
  };
}

const at = (v: number, options: object) => fSft.evaluate(row(v), { beta: 1, ...options });

describe('f-divergence imitation', () => {
  test.each([
    ['pearson-chi2', (v: number) => v - v ** 2 / 4],
    ['squared-hellinger', (v: number) => v / (1 + v)],
    ['reverse-kl', (v: number) => 1 - Math.exp(-v)],
    ['js', (v: number) => Math.log(2 - Math.exp(-v))],
  ] as const)('%s at points of its formula', (divergence, phi) => {
    for (const v of [-0.4, 0, 0.3, 1.7]) {
      const { loss, cotangents } = at(v, { divergence });
      expect(loss).toBeCloseTo(-phi(v), 13);
      expect(cotangents.logprobs![0]).toBeCloseTo(-(phi(v + 1e-6) - phi(v - 1e-6)) / 2e-6, 8);
    }
  });

  test.each(divergences)('%s: at the reference the gradient is that of likelihood', (divergence) => {
    expect(at(0, { divergence }).cotangents.logprobs![0]).toBeCloseTo(-1, 14);
    expect(at(0, { divergence }).loss).toBeCloseTo(0, 14);
  });

  test('pearson pushes no more from 2 on', () => {
    expect(at(3, {}).loss).toBeCloseTo(-1, 14);
    expect(at(3, {}).cotangents.logprobs![0]).toBe(-0);
  });

  test.each(divergences)('%s goes on as its tangent below the lowest reward', (divergence) => {
    const [edge, below] = [at(-0.5, { divergence }), at(-5, { divergence })];
    expect(below.cotangents.logprobs![0]).toBe(edge.cotangents.logprobs![0]);
    expect(below.loss).toBeCloseTo(edge.loss - 4.5 * edge.cotangents.logprobs![0]!, 12);
  });

  test('wrong options are refused', () => {
    expect(() => at(0, { lowest: -0.7 })).toThrow(/`lowest`/);
  });
});
