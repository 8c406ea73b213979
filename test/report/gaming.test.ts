import { fileURLToPath } from 'node:url';
import { gamedSpans, type Line } from '@kelpie/report';
import * as fc from 'fast-check';
import { expect, it } from 'vitest';

interface History {
  readonly reward: readonly number[];
  readonly watched: Readonly<Record<string, readonly number[]>>;
}

const loop = fileURLToPath(new URL('../../packages/runner/src/online/watch.ts', import.meta.url));
const { gamed } = (await import(loop)) as { gamed: (history: History) => string[] };

const seed = Number(process.env.KELPIE_SEED ?? Date.now() % 2 ** 31);

it(`marks in a report just the steps at which the loop finds the reward gamed (seed ${seed})`, () => {
  let found = 0;
  const runs = fc.record({
    noise: fc.array(fc.double({ min: -1, max: 1, noNaN: true }), { minLength: 20, maxLength: 60 }),
    slopes: fc.tuple(fc.integer({ min: -10, max: 50 }), fc.integer({ min: -50, max: 10 })),
  });
  void fc.assert(
    fc.property(runs, ({ noise, slopes: [rise, fall] }) => {
      const reward = noise.map((value, at) => value + (rise / 100) * at);
      const truth = noise.map((value, at) => (fall / 100) * at - value * ((at % 3) - 1));
      const metrics = reward.map((value, at): Line => {
        return { step: at + 1, kind: 'step', values: { reward: value, 'watched/truth/mean': truth[at]! } };
      });
      const marked = new Set(
        gamedSpans(metrics).flatMap(({ from, to }) => Array.from({ length: to - from + 1 }, (_, i) => from + i)),
      );
      reward.forEach((_, at) => {
        const history = { reward: reward.slice(0, at + 1), watched: { truth: truth.slice(0, at + 1) } };
        const isGamed = gamed(history).length > 0;
        if (isGamed) found++;
        expect(marked.has(at + 1)).toBe(isGamed);
      });
    }),
    { seed, examples: [[{ noise: Array.from({ length: 40 }, (_, at) => (at % 7) / 7), slopes: [50, -50] }]] },
  );
  expect(found).toBeGreaterThan(0);
});
