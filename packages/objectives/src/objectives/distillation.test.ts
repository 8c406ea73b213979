import { describe, expect, test } from 'vitest';
import { scoresOfLogits } from '../categorical.js';
import { distillationLoss, generalizedJsd, skewedForwardKl, skewedReverseKl } from '../distillation/index.js';
import { type Divergence, forwardKl, reverseKl, totalVariation } from '../divergences/index.js';
import type { ScoreName, Scores } from '../input.js';
import { seeded } from '../testing/index.js';
import { distillation } from './distillation.js';

const input = (scores: Scores) => ({
  rows: 2,
  tokens: 2,
  completionMask: Uint8Array.of(1, 1, 1, 0),
  policy: scores,
});
const forward = Float64Array.of(1, 2, 6, 9);

describe('agarwal2023', () => {
  test('the mean over tokens of what the policy gives; a mean of row means on demand', () => {
    const { loss, cotangents } = distillation.evaluate(input({ forwardKl: forward }), { divergence: 'forward-kl' });
    expect(loss).toBe(3);
    expect([...cotangents.forwardKl!]).toEqual([1 / 3, 1 / 3, 1 / 3, 0]);
    const rows = distillation.evaluate(input({ forwardKl: forward }), {
      divergence: 'forward-kl',
      aggregation: 'rows',
    });
    expect(rows.loss).toBe((1.5 + 6) / 2);
  });

  test('the ends of the mixtures are the KLs', () => {
    const scores = (options: object) => distillation.needsOf(options).policy;
    expect(scores({})).toEqual(['jsd(0.5)']);
    expect(scores({ beta: 0 })).toEqual(['forwardKl']);
    expect(scores({ beta: 1 })).toEqual(['reverseKl']);
    expect(scores({ divergence: 'alpha', alpha: 0 })).toEqual(['reverseKl']);
    expect(scores({ divergence: 'alpha', alpha: 1 })).toEqual(['forwardKl']);
    expect(scores({ divergence: 'skewed-forward-kl', skew: 0 })).toEqual(['forwardKl']);
    expect(scores({ divergence: 'skewed-reverse-kl', skew: 0.2 })).toEqual(['skewReverseKl(0.2)']);
  });

  test('both directions, weighed', () => {
    const both = input({ forwardKl: forward, reverseKl: Float64Array.of(3, 0, 0, 9) });
    const options = { divergence: 'balanced-kl', forwardWeight: 0.7, reverseWeight: 0.3 } as const;
    const { loss, cotangents } = distillation.evaluate(both, options);
    expect(loss).toBeCloseTo(0.7 * 3 + 0.3 * 1, 15);
    expect(cotangents.reverseKl![0]).toBeCloseTo(0.1, 15);
  });
});

describe('the same as on logits', () => {
  const random = seeded(3);
  const numbers = (count: number) => Float64Array.from({ length: count }, () => 4 * random() - 2);
  const grid = { rows: 2, tokens: 2, completionMask: Uint8Array.of(1, 1, 1, 0), vocabulary: 5 };
  const [logits, teacherLogits] = [numbers(20), numbers(20)];
  const cases: [string, object, Divergence][] = [
    ['jsd(0.5)', {}, generalizedJsd(0.5)],
    ['jsd(0.1)', { beta: 0.1 }, generalizedJsd(0.1)],
    ['forwardKl', { divergence: 'forward-kl' }, forwardKl],
    ['reverseKl', { divergence: 'reverse-kl' }, reverseKl],
    ['totalVariation', { divergence: 'total-variation' }, totalVariation],
    ['skewForwardKl(0.1)', { divergence: 'skewed-forward-kl' }, skewedForwardKl(0.1)],
    ['skewReverseKl(0.1)', { divergence: 'skewed-reverse-kl' }, skewedReverseKl(0.1)],
  ];
  test.each(cases)('%s', (name, options, divergence) => {
    const scores = scoresOfLogits({ ...grid, logits, referenceLogits: teacherLogits }, [name as ScoreName]);
    const { loss } = distillation.evaluate({ ...grid, policy: scores }, options);
    expect(loss).toBeCloseTo(distillationLoss({ ...grid, logits, teacherLogits }, divergence).loss, 14);
  });
});
