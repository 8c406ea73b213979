import { expect, test } from 'vitest';
import { flow, minimizeKinked, shortestCombination, slide } from './index.js';

test('the shortest combination: a point of an edge, and 0 inside', () => {
  expect([...shortestCombination([Float64Array.of(1, 1), Float64Array.of(1, -1)])]).toEqual([1, expect.closeTo(0, 12)]);
  const inside = [Float64Array.of(1, 0), Float64Array.of(-1, 1), Float64Array.of(-1, -1)];
  for (const value of shortestCombination(inside)) expect(Math.abs(value)).toBeLessThan(1e-12);
});

test('a kink is found: |x| + 2 |y - x|', () => {
  const loss = ([x, y]: Float64Array) => Math.abs(x! - 0.3) + 2 * Math.abs(y! - x!);
  const gradient = ([x, y]: Float64Array) =>
    Float64Array.of(Math.sign(x! - 0.3) - 2 * Math.sign(y! - x!), 2 * Math.sign(y! - x!));
  const { point, residual } = minimizeKinked(loss, gradient, Float64Array.of(-1, 2));
  expect(residual).toBeLessThan(1e-9);
  expect([...point]).toEqual([expect.closeTo(0.3, 5), expect.closeTo(0.3, 5)]);
});

test('a field that jumps is followed along its jump', () => {
  // Pushed onto the line y = 0 from both sides, and along it to x = 1.
  const field = ([x, y]: Float64Array) => Float64Array.of(x! - 1, Math.sign(y!));
  const { point, residual } = slide(field, flow(field, Float64Array.of(-1, 0.5)));
  expect(residual).toBeLessThan(2e-2);
  expect(point[0]).toBeCloseTo(1, 1);
  expect(Math.abs(point[1]!)).toBeLessThan(2e-2);
});
