import { expect, test } from 'vitest';
import { argmax, logprobOf, pick } from './pick.js';
import { uniforms } from './random.js';

const logits = [2, 1, 0, -1, 1].map((x) => x * 0.7);
const probabilities = (temperature = 1): number[] => {
  const e = logits.map((x) => Math.exp(x / temperature));
  const total = e.reduce((a, b) => a + b);
  return e.map((x) => x / total);
};

function frequencies(options: Parameters<typeof pick>[1], draws = 40_000): number[] {
  const uniform = uniforms(7, JSON.stringify(options));
  const counts = logits.map(() => 0);
  for (let i = 0; i < draws; i++) {
    const id = pick(logits, options, uniform);
    counts[id] = counts[id]! + 1;
  }
  return counts.map((n) => n / draws);
}

/** Within five standard errors. */
function close(found: number[], expected: number[], draws = 40_000): void {
  found.forEach((f, i) => {
    const p = expected[i]!;
    expect(Math.abs(f - p), `token ${i}: ${f} for ${p}`).toBeLessThanOrEqual(
      5 * Math.sqrt((p * (1 - p)) / draws) + 1e-12,
    );
  });
}

function renormalised(keep: readonly number[], temperature = 1): number[] {
  const p = probabilities(temperature).map((x, i) => (keep.includes(i) ? x : 0));
  const total = p.reduce((a, b) => a + b);
  return p.map((x) => x / total);
}

test('frequencies follow the softmax, at any temperature', () => {
  close(frequencies({}), probabilities());
  close(frequencies({ temperature: 0.5 }), probabilities(0.5));
});

test('top-k keeps the k largest, ties with the last included', () => {
  close(frequencies({ topK: 1 }), renormalised([0]));
  close(frequencies({ topK: 2 }), renormalised([0, 1, 4]));
  close(frequencies({ topK: 9 }), probabilities());
});

test('top-p keeps the smallest set that holds p; at least one', () => {
  close(frequencies({ topP: 1e-9 }), renormalised([0]));
  const [first] = probabilities();
  close(frequencies({ topP: first! + 1e-6 }), renormalised([0, 1]));
});

test('min-p keeps what is at least that share of the largest', () => {
  close(frequencies({ minP: 0.45 }), renormalised([0, 1, 4]));
  close(frequencies({ minP: 0.6 }), renormalised([0]));
});

test('temperature 0 takes the first of the largest', () => {
  expect(pick([1, 3, 3], { temperature: 0 }, () => 0.9)).toBe(1);
  expect(argmax([-2, -1, -1])).toBe(1);
});

test('logprobOf is the log-softmax, also for huge logits', () => {
  expect(logprobOf(logits, 2)).toBeCloseTo(Math.log(probabilities()[2]!), 12);
  expect(logprobOf([1e4, 0], 0)).toBe(0);
  expect(logprobOf([1e4, 0], 1)).toBe(-1e4);
});
