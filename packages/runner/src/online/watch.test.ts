import { expect, test } from 'vitest';
import { gamed, newlyGamed, noHistory, withStep } from './watch.js';

const historyOf = (steps: number, watchedAt: (step: number) => number) => {
  let history = noHistory;
  for (let step = 0; step < steps; step++) {
    const noise = step % 2 === 0 ? 0.1 : -0.1;
    history = withStep(history, step / 10 + noise, { true: Float64Array.of(watchedAt(step) + noise, Number.NaN) });
  }
  return history;
};

test('a watched reward that falls while the optimised one rises is told', () => {
  expect(gamed(historyOf(20, (step) => -step))).toEqual(['true']);
});

test('one that stays, rises with it, or has too few steps behind it is not', () => {
  expect(gamed(historyOf(20, () => 0))).toEqual([]);
  expect(gamed(historyOf(20, (step) => step))).toEqual([]);
  expect(gamed(historyOf(19, (step) => -step))).toEqual([]);
});

test('nothing is gamed where the optimised reward does not rise', () => {
  const { watched } = historyOf(20, (step) => -step);
  expect(gamed({ reward: Array.from({ length: 20 }, (_, step) => step % 3), watched })).toEqual([]);
});

test('a history is no longer than what is compared, and is told of once', () => {
  let history = noHistory;
  const told: number[] = [];
  for (let step = 1; step <= 500; step++) {
    const next = withStep(history, step, { true: Float64Array.of(-step) });
    if (newlyGamed(history, next).length > 0) told.push(step);
    history = next;
  }
  expect(told).toEqual([20]);
  const ends = [...Array(20).keys()].map((at) => (at < 10 ? 1 + at : 481 + at));
  expect(history).toEqual({ reward: ends, watched: { true: ends.map((step) => -step) } });
});

test('a step that nobody judged is no step of the history', () => {
  const history = withStep(
    historyOf(3, () => 1),
    undefined,
    { true: Float64Array.of(Number.NaN) },
  );
  expect(history).toEqual(historyOf(3, () => 1));
});
