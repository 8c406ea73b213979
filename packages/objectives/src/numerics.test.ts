import { expect, test } from 'vitest';
import {
  log1mexp,
  logSigmoid,
  rowDifferences,
  rowLengths,
  rowSums,
  sigmoid,
  softplus,
  spreadRows,
  total,
} from './numerics.js';

test('softplus: 0, log 2, x', () => {
  expect([-1e308, 0, 1e308].map(softplus)).toEqual([0, Math.LN2, 1e308]);
  expect(softplus(-700)).toBe(Math.exp(-700));
  expect(softplus(Number.NEGATIVE_INFINITY)).toBe(0);
});

test('sigmoid: exact at the ends, symmetric', () => {
  expect([-1e4, 0, 1e4].map(sigmoid)).toEqual([0, 0.5, 1]);
  expect(sigmoid(-700) / Math.exp(-700)).toBeCloseTo(1, 14);
  for (const x of [0.1, 1, 7, 30]) expect(sigmoid(x) + sigmoid(-x)).toBeCloseTo(1, 15);
});

test('logSigmoid: x where σ underflows', () => {
  expect(logSigmoid(-1e4)).toBe(-1e4);
  expect(logSigmoid(1e4)).toBe(-0);
  expect(logSigmoid(0)).toBe(-Math.LN2);
});

test('log1mexp: all digits at both ends', () => {
  expect(log1mexp(-Math.LN2)).toBeCloseTo(-Math.LN2, 15);
  expect(log1mexp(-1e-20)).toBeCloseTo(Math.log(1e-20), 12);
  expect(log1mexp(-50) / -Math.exp(-50)).toBeCloseTo(1, 14);
  expect(log1mexp(0)).toBe(Number.NEGATIVE_INFINITY);
  expect(log1mexp(Number.NEGATIVE_INFINITY)).toBe(-0);
});

test('row sums pass over what is masked', () => {
  const grid = { rows: 2, tokens: 2, completionMask: Uint8Array.of(1, 0, 1, 1) };
  const values = Float64Array.of(1, Number.NaN, 2, 3);
  expect([...rowSums(grid, values)]).toEqual([1, 5]);
  expect([...rowDifferences(grid, values, Float64Array.of(0.5, Number.NEGATIVE_INFINITY, 2, 1))]).toEqual([0.5, 2]);
  expect([...rowLengths(grid)]).toEqual([1, 2]);
  expect([...spreadRows(grid, Float64Array.of(7, Number.POSITIVE_INFINITY))]).toEqual([
    7,
    0,
    Number.POSITIVE_INFINITY,
    Number.POSITIVE_INFINITY,
  ]);
  expect(total(Float64Array.of())).toBe(0);
});
