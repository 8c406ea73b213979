import { expect, test } from 'vitest';
import { enumerableWorld } from '../enumerable/index.js';
import { bestOfNExactly, bestOfNKlBound, calibratedExactly, winRate } from './index.js';

const logs = (...p: number[]) => Float64Array.from(p, Math.log);

test('two outcomes, the best of two: the worse is kept only if it is drawn twice', () => {
  const { logprobs, kl, winRate: wins } = bestOfNExactly(logs(0.25, 0.75), Float64Array.of(5, -1), 2);
  expect(Math.exp(logprobs[1]!)).toBeCloseTo(0.5625, 14);
  expect(kl).toBeCloseTo(0.4375 * Math.log(0.4375 / 0.25) + 0.5625 * Math.log(0.5625 / 0.75), 14);
  expect(wins).toBeCloseTo(0.4375 * (0.75 + 0.125) + 0.5625 * 0.375, 14);
});

test('outcomes of equal reward share as the policy does, those never drawn take no part', () => {
  const { logprobs, kl, winRate: wins } = bestOfNExactly(logs(0.2, 0.6, 0.2, 0), Float64Array.of(1, 1, 0, 9), 3);
  expect(Math.exp(logprobs[2]!)).toBeCloseTo(0.008, 14);
  expect(Math.exp(logprobs[1]! - logprobs[0]!)).toBeCloseTo(3, 12);
  expect(logprobs[3]).toBe(Number.NEGATIVE_INFINITY);
  expect(kl).toBeGreaterThan(0);
  expect(wins).toBeCloseTo(0.992 * 0.6 + 0.008 * 0.1, 12);
});

test('it is what drawing n and keeping the best comes to', () => {
  const [p, rewards] = [
    [0.1, 0.3, 0.4, 0.2],
    [3, 1, 2, 1],
  ];
  const kept = [0, 0, 0, 0];
  const outcomes = [0, 1, 2, 3];
  for (const a of outcomes)
    for (const b of outcomes)
      for (const c of outcomes) {
        const best = Math.max(rewards[a]!, rewards[b]!, rewards[c]!);
        const draws = [a, b, c].filter((i) => rewards[i] === best);
        for (const i of draws) kept[i]! += (p[a]! * p[b]! * p[c]!) / draws.length;
      }
  const { logprobs } = bestOfNExactly(logs(...p), Float64Array.from(rewards), 3);
  kept.forEach((mass, i) => {
    expect(Math.exp(logprobs[i]!)).toBeCloseTo(mass, 14);
  });
});

test('bounds hold, and are close where no outcome is likely', () => {
  for (const seed of [1, 2, 3]) {
    const { reference, rewards } = enumerableWorld({ seed, vocabulary: 4, length: 3 });
    for (const n of [1, 2, 4, 16, 64]) {
      const found = bestOfNExactly(reference, rewards, n);
      expect(found.kl).toBeLessThanOrEqual(found.klBound + 1e-12);
      expect(found.winRate).toBeLessThanOrEqual(found.winRateBound + 1e-12);
    }
  }
  const many = 4000;
  const fine = bestOfNExactly(
    new Float64Array(many).fill(-Math.log(many)),
    Float64Array.from({ length: many }, (_, i) => i),
    8,
  );
  expect(fine.kl).toBeCloseTo(bestOfNKlBound(8), 2);
  expect(fine.winRate).toBeCloseTo(8 / 9, 5);
});

test('a policy wins against itself half of the time', () => {
  const { reference, rewards } = enumerableWorld({ seed: 4, vocabulary: 3, length: 3 });
  expect(winRate(reference, reference, rewards)).toBeCloseTo(0.5, 14);
  expect([...calibratedExactly(logs(0.25, 0.5, 0.25), Float64Array.of(2, 1, 2))]).toEqual([1, 0.5, 1]);
});

test('n is a whole number, and rewards are given for all', () => {
  expect(() => bestOfNExactly(logs(1), Float64Array.of(0), 1.5)).toThrow(
    /`n`: expected a whole number from 1, got 1.5/,
  );
  expect(() => bestOfNExactly(logs(1), Float64Array.of(0, 1), 2)).toThrow(/1 outcomes, got 2/);
});
