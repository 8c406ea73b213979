import { expect, test } from 'vitest';
import { estimatedLogPartition, movingMean } from './index.js';

test('the sum of a target over samples that are each as likely as any other', () => {
  const scores = Float64Array.of(0.5, -1, 3);
  const proposal = new Float64Array(3).fill(-Math.log(3));
  const sum = Math.exp(0.5) + Math.exp(-1) + Math.exp(3);
  expect(estimatedLogPartition(scores, proposal)).toBeCloseTo(Math.log(sum), 14);
  expect(estimatedLogPartition(Float64Array.of(1e4), Float64Array.of(-1e4))).toBe(2e4);
  expect(() => estimatedLogPartition(new Float64Array(), new Float64Array())).toThrow(/at least one/);
});

test('the mean of the last numbers, 0 before any', () => {
  const empty = movingMean(3);
  expect(empty.mean).toBe(0);
  expect(empty.add([1, 2]).mean).toBe(1.5);
  expect(empty.add([1, 2]).add([3, 4]).mean).toBe(3);
});
