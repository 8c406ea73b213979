import { describe, expect, test } from 'vitest';
import { forwardKl, jensenShannon, reverseKl, squaredHellinger } from '../divergences/index.js';
import { generalizedJsd } from './generalized-jsd.js';
import { distillationLoss } from './logits.js';

const log = Math.log;
/** p = (1/2, 1/4, 1/4), q = (1/4, 1/2, 1/4); then a masked position. */
const batch = {
  rows: 1,
  tokens: 2,
  vocabulary: 3,
  completionMask: Uint8Array.of(1, 0),
  logits: Float64Array.of(log(2), 0, 0, Number.NaN, Number.NEGATIVE_INFINITY, 1e300),
  teacherLogits: Float64Array.of(0, log(2), 0, Number.NaN, Number.POSITIVE_INFINITY, 0),
};

describe('hinton2015', () => {
  test('KL(q ‖ p) and its gradient p - q; masked positions are passed over', () => {
    const { loss, perToken, gradient } = distillationLoss(batch, forwardKl);
    expect(loss).toBeCloseTo(log(2) / 4, 15);
    expect([...perToken]).toEqual([loss, 0]);
    expect([...gradient]).toEqual([0.25, -0.25, 0, 0, 0, 0].map((x) => expect.closeTo(x, 15)));
  });

  test('temperature divides both logits, and the gradient; its square brings the scale back', () => {
    const half = distillationLoss(
      { ...batch, logits: batch.logits.map((x) => 2 * x), teacherLogits: batch.teacherLogits.map((x) => 2 * x) },
      forwardKl,
      { temperature: 2 },
    );
    expect(half.loss).toBeCloseTo(log(2) / 4, 15);
    expect(half.gradient[0]).toBeCloseTo(0.125, 15);
    const scaled = distillationLoss(batch, reverseKl, { temperature: 3, scaleByTemperatureSquared: true });
    const plain = distillationLoss(batch, reverseKl, { temperature: 3 });
    expect(scaled.loss).toBeCloseTo(9 * plain.loss, 15);
    expect(scaled.gradient[0]).toBeCloseTo(9 * plain.gradient[0]!, 15);
    expect(scaled.perToken[0]).toBe(plain.perToken[0]);
  });

  test('the mean is over the tokens of the step, if they are told', () => {
    expect(distillationLoss({ ...batch, scoredTokens: 4 }, forwardKl).loss).toBeCloseTo(log(2) / 16, 15);
  });

  test('nothing to score: 0', () => {
    const { loss, gradient } = distillationLoss({ ...batch, completionMask: Uint8Array.of(0, 0) }, forwardKl);
    expect(loss).toBe(0);
    expect(gradient.every((slope) => slope === 0)).toBe(true);
  });
});

describe('bans', () => {
  const ban = (side: 'logits' | 'teacherLogits') => ({
    ...batch,
    [side]: Float64Array.of(0, 0, Number.NEGATIVE_INFINITY, 0, 0, 0),
  });
  const finite = ({ loss, gradient }: ReturnType<typeof distillationLoss>) =>
    Number.isFinite(loss) && gradient.every(Number.isFinite);

  test('by the teacher: KL(q ‖ p) is finite, KL(p ‖ q) is not', () => {
    expect(finite(distillationLoss(ban('teacherLogits'), forwardKl))).toBe(true);
    expect(distillationLoss(ban('teacherLogits'), reverseKl).loss).toBe(Number.POSITIVE_INFINITY);
  });

  test('by the student: KL(p ‖ q) is finite, and no gradient moves the ban', () => {
    const banned = distillationLoss(ban('logits'), reverseKl);
    expect(finite(banned)).toBe(true);
    expect(banned.gradient[2]).toBe(0);
    expect(distillationLoss(ban('logits'), forwardKl).loss).toBe(Number.POSITIVE_INFINITY);
  });

  test.each([generalizedJsd(0.3), jensenShannon, squaredHellinger])('$name is finite by either', (divergence) => {
    expect(finite(distillationLoss(ban('logits'), divergence))).toBe(true);
    expect(finite(distillationLoss(ban('teacherLogits'), divergence))).toBe(true);
  });

  test('by both it is as if the token did not exist', () => {
    const both = distillationLoss(
      { ...batch, ...ban('logits'), teacherLogits: ban('teacherLogits').logits },
      reverseKl,
    );
    expect(finite(both)).toBe(true);
  });
});

test('a tensor of the wrong size is named', () => {
  expect(() => distillationLoss({ ...batch, logits: new Float64Array(5) }, forwardKl)).toThrow(
    'logits: expected 6 numbers, got 5',
  );
});
