import { expect, test } from 'vitest';
import { expectedCalibrationError, preferenceCalibrationError } from './calibration-error.js';

const of = (...values: number[]) => Float64Array.from(values);

test('guo2017 eq 3: gaps by bin, weighted by rows', () => {
  const confidences = of(0.92, 0.98, 0.35, 0.31);
  expect(expectedCalibrationError(confidences, of(1, 0, 0, 1))).toBeCloseTo((0.9 + 0.34) / 4, 12);
  expect(expectedCalibrationError(of(), of())).toBe(0);
  expect(expectedCalibrationError(of(1), of(1))).toBe(0);
});

test('of preferences: sure and right is calibrated, sure and wrong is not', () => {
  expect(preferenceCalibrationError(of(40, 40))).toBeCloseTo(0, 12);
  expect(preferenceCalibrationError(of(-40, -40))).toBeCloseTo(1, 12);
  const logit = Math.log(3);
  expect(preferenceCalibrationError(of(logit, logit, logit, -logit))).toBeCloseTo(0, 12);
});
