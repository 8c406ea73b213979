import { describe, expect, test } from 'vitest';
import { logSoftmax } from '../numerics.js';
import { seeded } from '../testing/index.js';
import { rankingDistillation } from './plackett-luce.js';

const teacher = Float64Array.of(0, 2, 1, 2);
const random = seeded(7);
const student = Float64Array.from(teacher, () => 3 * random() - 1.5);

describe('arXiv:2506.12542', () => {
  test('the label first, then the teacher’s order, the lower index first among equals', () => {
    expect([...rankingDistillation(student, teacher, 2).order]).toEqual([2, 1, 3, 0]);
  });

  test('only the first place: cross-entropy of the label', () => {
    const { loss, gradient } = rankingDistillation(student, teacher, 2, { weights: 'first' });
    const logprobs = logSoftmax(student);
    expect(loss).toBeCloseTo(-logprobs[2]!, 14);
    gradient.forEach((slope, v) => {
      expect(slope).toBeCloseTo(Math.exp(logprobs[v]!) - (v === 2 ? 1 : 0), 14);
    });
  });

  test('equal students: Σ w_k log(classes left), weights the teacher’s probabilities', () => {
    const { loss, weights, order } = rankingDistillation(new Float64Array(4), teacher, 2);
    const probabilities = logSoftmax(teacher).map(Math.exp);
    expect([...weights]).toEqual([...order].map((v) => probabilities[v]));
    expect(loss).toBeCloseTo(
      weights.reduce((sum, weight, place) => sum + weight * Math.log(4 - place), 0),
      14,
    );
  });

  test.each(['teacher', 'uniform', 'first'] as const)('gradient = central difference, weights %s', (weights) => {
    const { gradient } = rankingDistillation(student, teacher, 0, { weights, teacherTemperature: 2 });
    gradient.forEach((slope, at) => {
      const loss = (step: number) =>
        rankingDistillation(
          student.map((logit, v) => (v === at ? logit + step : logit)),
          teacher,
          0,
          { weights, teacherTemperature: 2 },
        ).loss;
      expect(slope).toBeCloseTo((loss(1e-5) - loss(-1e-5)) / 2e-5, 9);
    });
  });

  test('a shift of the logits changes nothing, at any size', () => {
    const here = rankingDistillation(student, teacher, 1);
    const there = rankingDistillation(
      student.map((logit) => logit + 1e4),
      teacher,
      1,
    );
    expect(there.loss).toBeCloseTo(here.loss, 10);
    expect(there.gradient[0]).toBeCloseTo(here.gradient[0]!, 10);
  });

  test('a class that both ban takes no part', () => {
    const banned = (logits: Float64Array) => Float64Array.of(...logits, Number.NEGATIVE_INFINITY);
    const { loss, gradient } = rankingDistillation(banned(student), banned(teacher), 1);
    expect(loss).toBeCloseTo(rankingDistillation(student, teacher, 1).loss, 14);
    expect(gradient[4]).toBe(0);
  });

  test('a label that is no class is refused', () => {
    expect(() => rankingDistillation(student, teacher, 4)).toThrow('label: expected a class from 0 to 3, got 4');
  });
});
