import { describe, expect, test } from 'vitest';
import { minimize, rootBetween, solveStationary } from './solve.js';

describe('root between two points', () => {
  test.each([
    ['a line', (x: number) => 3 * x - 1, 0, 1, 1 / 3],
    ['a cube', (x: number) => x ** 3 - 2, 0, 8, Math.cbrt(2)],
    ['a wall', (x: number) => Math.exp(50 * x) - 7, -1, 1, Math.log(7) / 50],
    ['falling', (x: number) => Math.cos(x), 0, 3, Math.PI / 2],
  ])('%s', (_, f, low, high, root) => {
    let calls = 0;
    const found = rootBetween(
      (x) => {
        calls++;
        return f(x);
      },
      low,
      high,
    );
    expect(Math.abs(found - root)).toBeLessThanOrEqual(4e-16 * Math.abs(root));
    expect(calls).toBeLessThan(120);
  });

  test('no change of sign is an error', () => {
    expect(() => rootBetween((x) => x * x + 1, -1, 1)).toThrow('no change of sign: f(-1) = 2, f(1) = 2');
  });
});

test('Newton finds the least of a bent valley, and leaves a flat direction where it was', () => {
  const loss = ([x, y]: Float64Array) => 100 * (y! - x! ** 2) ** 2 + (1 - x!) ** 2;
  const gradient = ([x, y]: Float64Array) =>
    Float64Array.of(-400 * x! * (y! - x! ** 2) - 2 * (1 - x!), 200 * (y! - x! ** 2), 0);
  const { point, residual } = minimize(loss, gradient, Float64Array.of(-1.2, 1, 7));
  expect(residual).toBeLessThan(1e-12);
  expect([...point]).toEqual([expect.closeTo(1, 11), expect.closeTo(1, 11), 7]);
});

test('a field that is no gradient has its zero found', () => {
  const field = ([x, y]: Float64Array) => Float64Array.of(Math.tanh(x! + 2 * y!) - 0.5, Math.tanh(y! - x!) + 0.2);
  const { point, residual } = solveStationary(field, Float64Array.of(0, 0));
  expect(residual).toBeLessThan(1e-13);
  expect(point[0]! + 2 * point[1]!).toBeCloseTo(Math.atanh(0.5), 12);
});
