import { describe, expect, test } from 'vitest';
import {
  discoveredLoss,
  hingeLoss,
  logisticLoss,
  modelledKl,
  robustLoss,
  type Sloped,
  squaredLoss,
  targetKl,
} from './margin-losses.js';

const losses: Readonly<Record<string, (z: number) => Sloped>> = {
  logistic: (z) => logisticLoss(z, 0.1),
  robust: (z) => robustLoss(z, 0.2),
  hinge: hingeLoss,
  squared: (z) => squaredLoss(z, 0.7),
  'KL(model ‖ target)': (z) => modelledKl(z, 1.2),
  'KL(target ‖ model)': (z) => targetKl(z, 1.2),
  discovered: (z) => discoveredLoss(z, 0.3),
};

describe.each(Object.entries(losses))('%s', (_, lossAt) => {
  test.each([-3, -0.4, 0.01, 0.6, 2.5])('slope = central difference at z = %d', (z) => {
    const difference = (lossAt(z + 1e-5).loss - lossAt(z - 1e-5).loss) / 2e-5;
    expect(lossAt(z).slope).toBeCloseTo(difference, 8);
  });

  test.each([-2e4, 2e4])('finite at z = %d', (z) => {
    const { loss, slope } = lossAt(z);
    expect([loss, slope].every(Number.isFinite)).toBe(true);
  });
});

test('the two KLs are 0 at the target and never below', () => {
  for (const kl of [modelledKl, targetKl]) {
    expect(kl(0.9, 0.9)).toEqual({ loss: 0, slope: 0 });
    for (const z of [-5, 0, 5]) expect(kl(z, 0.9).loss).toBeGreaterThan(0);
  }
});
