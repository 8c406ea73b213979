import { describe, expect, test } from 'vitest';
import { forwardKl, pearsonChi2, reverseKl } from '../divergences/index.js';
import {
  enumerableWorld,
  gridOf,
  normalized,
  optimalPolicy,
  pullback,
  randomPolicy,
  scoresOf,
  sequenceLogprobs,
} from '../enumerable/index.js';
import { estimatedLogPartition } from '../matching/index.js';
import { expectedGradient } from '../occupancy/divergences.js';
import { seeded } from '../testing/random.js';
import { fDpg } from './f-dpg.js';

/** One completion of one token. */
function row(logprob: number, proposal: number, score: number) {
  return {
    rows: 1,
    tokens: 1,
    completionMask: Uint8Array.of(1),
    policy: { logprobs: Float64Array.of(logprob) },
    old: { logprobs: Float64Array.of(proposal) },
    perRow: { targetLogScores: Float64Array.of(score) },
  };
}

describe('go2023', () => {
  test.each([
    ['forward-kl', -1 / Math.exp(-0.5)],
    ['reverse-kl', -0.5 + 1],
    ['total-variation', -0.5],
    ['pearson-chi2', 2 * Math.expm1(-0.5)],
  ] as const)('%s by hand', (divergence, derivative) => {
    // log t = -2 - (-1.2 - 0.3) = -0.5, importance e^{0.4}.
    const { cotangents, details, loss } = fDpg.evaluate(row(-2, -2.4, -1.2), { divergence, logZ: 0.3, baseline: 0.1 });
    expect(details!.pseudoRewards![0]).toBeCloseTo(-derivative, 13);
    expect(details!.importances![0]).toBeCloseTo(Math.exp(0.4), 13);
    expect(cotangents.logprobs![0]).toBeCloseTo(Math.exp(0.4) * (derivative + 0.1), 13);
    expect(loss).toBeCloseTo(-2 * Math.exp(0.4) * (derivative + 0.1), 12);
  });

  test('a completion without a score has no weight, one that is ruled out a large one', () => {
    expect(fDpg.evaluate(row(-2, -2, Number.NaN)).cotangents.logprobs![0]).toBe(0);
    const ruledOut = fDpg.evaluate(row(-2, -2, Number.NEGATIVE_INFINITY), { divergence: 'reverse-kl' });
    expect(ruledOut.cotangents.logprobs![0]).toBe(301);
    expect(
      fDpg.evaluate(row(-2, -2, Number.NEGATIVE_INFINITY), { divergence: 'js' }).cotangents.logprobs![0],
    ).toBeCloseTo(Math.LN2, 14);
  });

  test.each([
    ['forward-kl', forwardKl],
    ['reverse-kl', reverseKl],
    ['pearson-chi2', pearsonChi2],
  ] as const)(
    '%s: on every completion once, the gradient is that of the divergence from the target',
    (name, divergence) => {
      const { space, reference, rewards } = enumerableWorld({ seed: 2, vocabulary: 3, length: 3 });
      const policy = randomPolicy(space, seeded(9), 0.6);
      const rows = Int32Array.from({ length: space.sequences }, (_, i) => i);
      const proposal = Float64Array.from(
        space.completionMask,
        (_, at) => -Math.log(space.sequences) / space.lengths[Math.floor(at / space.length)]!,
      );
      // The optimum of reward with a KL penalty, up to its normaliser.
      const beta = 2;
      const targetLogScores = reference.map((logprob, i) => logprob + rewards[i]! / beta);
      const everywhere = new Float64Array(space.sequences).fill(-Math.log(space.sequences));
      const logZ = estimatedLogPartition(targetLogScores, everywhere);
      const target = normalized(targetLogScores);
      expect(target[0]).toBeCloseTo(optimalPolicy({ reference, rewards, divergence: reverseKl, beta })[0]!, 9);

      for (const baseline of [0, 0.7]) {
        const { cotangents } = fDpg.evaluate(
          {
            ...gridOf(space, rows),
            policy: scoresOf(policy, rows, ['logprobs']),
            old: { logprobs: proposal },
            perRow: { targetLogScores },
          },
          { divergence: name, logZ, baseline },
        );
        const logprobs = sequenceLogprobs(policy);
        const expected = expectedGradient(
          policy,
          logprobs.map((logprob, i) => divergence.derivative(logprob - target[i]!)),
        );
        pullback(policy, rows, cotangents).logits.forEach((slope, at) => {
          expect(Math.abs(slope - expected[at]!)).toBeLessThan(1e-9);
        });
      }
    },
  );

  test('wrong options are refused', () => {
    expect(() => fDpg.evaluate(row(-1, -1, 0), { alpha: 1.5 })).toThrow(/`alpha`/);
    expect(() => fDpg.evaluate(row(-1, -1, 0), { divergence: 'kl' as 'js' })).toThrow(/`divergence`/);
  });
});
