import { afterAll, describe, expect, test } from 'vitest';
import { uniforms } from '../random.js';
import { Sessions } from '../sessions.js';
import { blocksOf, Chooser, type Truncation } from './choose.js';

const VOCABULARY = 19;
const dtypes = ['float64', 'float32'] as const;

/** A head that takes hidden states for logits. */
function modelOf(vocabularySize: number) {
  const dimensions = {
    vocabularySize,
    hiddenSize: vocabularySize,
    contextLength: 1,
    layers: 0,
    kvHeads: 1,
    headDim: 1,
  };
  return { dimensions, parameters: [], head: (_: unknown, hidden: never) => hidden };
}

function logSoftmax(logits: readonly number[]): number[] {
  const top = Math.max(...logits);
  const log = top + Math.log(logits.reduce((sum, x) => sum + Math.exp(x - top), 0));
  return logits.map((x) => x - log);
}

/** Probabilities after transformers' processors, in their order, each written as its definition. */
function truncated(logits: readonly number[], { temperature = 1, topK = 0, topP = 1, minP = 0 }: Truncation): number[] {
  const normalised = (p: readonly number[]) => p.map((x) => x / p.reduce((a, b) => a + b, 0));
  let p = logSoftmax(logits.map((x) => x / temperature)).map(Math.exp);
  // Fewer than k are larger.
  if (topK > 0) p = normalised(p.map((x) => (p.filter((y) => y > x).length < topK ? x : 0)));
  // The larger ones do not hold that much yet.
  if (topP < 1) p = normalised(p.map((x) => (p.filter((y) => y > x).reduce((a, b) => a + b, 0) < topP ? x : 0)));
  if (minP > 0) p = normalised(p.map((x) => (x >= minP * Math.max(...p) ? x : 0)));
  return p;
}

const truncations: readonly Truncation[] = [
  {},
  { temperature: 0.5 },
  ...[1, 2, 5, VOCABULARY, VOCABULARY + 5].map((topK) => ({ topK })),
  ...[0.01, 0.3, 0.9, 0.999].map((topP) => ({ topP })),
  ...[0.001, 0.05, 0.5, 1].map((minP) => ({ minP })),
  { temperature: 2, topK: 9, topP: 0.8, minP: 0.1 },
  { temperature: 0.7, topK: 4, topP: 0.6 },
];

describe.each(dtypes)('%s', (dtype) => {
  /** By vocabulary. */
  const opened = new Map<number, Sessions>();
  const sessionsOf = (vocabulary: number): Sessions => {
    const sessions = opened.get(vocabulary) ?? new Sessions({ threads: 1, verbatim: dtype === 'float64' });
    opened.set(vocabulary, sessions);
    return sessions;
  };
  afterAll(() => Promise.all([...opened.values()].map((sessions) => sessions.dispose())));

  const choose = (logits: readonly (readonly number[])[], drawn: readonly number[], truncation: Truncation) => {
    const size = logits[0]!.length;
    const model = modelOf(size);
    const chooser = new Chooser({ sessions: sessionsOf(size), model: model as never, dtype }, truncation);
    const flat = logits.flat();
    const hidden = dtype === 'float64' ? Float64Array.from(flat) : Float32Array.from(flat);
    return chooser.choose(
      hidden,
      Float64Array.from(drawn),
      logits.length > 4 ? 'wide' : 'plain',
      (_, given) => new Map(given),
    );
  };

  // A vocabulary in blocks of one token, in blocks of several, and with padding behind the last.
  const inverses = [VOCABULARY, 24, 23].flatMap((size) => truncations.map((truncation) => ({ size, truncation })));

  test.each(inverses)(
    'the inverse of the distribution function: $truncation of $size',
    async ({ size, truncation }) => {
      const draw = uniforms(1, 'truncation');
      // Each kept token at both ends and the middle of its own stretch.
      const [logits, drawn, expected]: [number[][], number[], number[]] = [[], [], []];
      for (let trial = 0; trial < 30; trial++) {
        const row = Array.from({ length: size }, () => Math.fround(8 * (draw() - 0.5)));
        let below = 0;
        truncated(row, truncation).forEach((x, id) => {
          if (x === 0) return;
          for (const part of [1e-2, 0.5, 1 - 1e-2]) {
            // A stretch that float32 sums cannot tell from its neighbours has no inside.
            if (dtype === 'float32' && x < 1e-3) continue;
            logits.push(row);
            drawn.push(below + part * x);
            expected.push(id);
          }
          below += x;
        });
      }
      const { ids, logprobs, drawnLogprobs } = await choose(logits, drawn, truncation);
      expect(ids).toEqual(expected);
      const { topK = 1 } = truncation;
      const bent = Object.keys(truncation).length > 0 && topK < size;
      expect(drawnLogprobs !== undefined).toBe(bent);
      drawnLogprobs?.forEach((logprob, i) => {
        const own = Math.log(truncated(logits[i]!, truncation)[ids[i]!]!);
        expect(logprob).toBeCloseTo(own, dtype === 'float64' ? 9 : 4);
      });
      logprobs.forEach((logprob, i) => {
        expect(logprob).toBeCloseTo(logSoftmax(logits[i]!)[ids[i]!]!, dtype === 'float64' ? 11 : 5);
      });
    },
  );

  test('the ends of the unit interval are drawn tokens of a positive weight', async () => {
    const row = [-1e30, 1, 2, -1e30, 0.5, -1e30];
    for (const temperature of [1, 0.3]) {
      expect((await choose([row, row], [0, 1 - 2 ** -53], { temperature })).ids).toEqual([1, 4]);
    }
  });

  test('ties with the last one kept are kept', async () => {
    const row = [2, 1, 0, -1, 1];
    const seen = async (truncation: Truncation) => {
      const drawn = Array.from({ length: 200 }, (_, i) => i / 200);
      return [
        ...new Set(
          (
            await choose(
              drawn.map(() => row),
              drawn,
              truncation,
            )
          ).ids,
        ),
      ];
    };
    expect(await seen({ topK: 2 })).toEqual([0, 1, 4]);
    expect(await seen({ topK: 1 })).toEqual([0]);
    expect(await seen({ topP: 1e-9 })).toEqual([0]);
    expect(await seen({ topP: 0.6 })).toEqual([0, 1, 4]);
    expect(await seen({ minP: 0.36 })).toEqual([0, 1, 4]);
    expect(await seen({ minP: 0.37 })).toEqual([0]);
  });

  test('temperature 0 takes the first of the largest', async () => {
    const { ids, logprobs } = await choose(
      [
        [1, 3, 3],
        [-2, -1, -1.5],
      ],
      [0.9, 0.9],
      { temperature: 0 },
    );
    expect(ids).toEqual([1, 1]);
    expect(logprobs[1]).toBeCloseTo(logSoftmax([-2, -1, -1.5])[1]!, 6);
  });

  test('a token that is improbable at temperature 1 has its log-probability still', async () => {
    const { ids, logprobs } = await choose([[0, 400]], [0.1], { temperature: 1000 });
    expect(ids).toEqual([0]);
    expect(logprobs[0]).toBeCloseTo(-400, 3);
  });

  test('logits that are no numbers give no log-probability', async () => {
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY]) {
      for (const temperature of [0, 1, 2]) {
        const { logprobs } = await choose([[0, bad, 1]], [0.5], { temperature });
        expect(logprobs[0]).toBeNaN();
      }
    }
  });

  test('top-p over more tokens than are sorted at first', async () => {
    const size = 5003;
    const row = Array.from({ length: size }, (_, i) => Math.fround(((i * 2003) % size) / size));
    const p = truncated(row, { topP: 0.9 });
    const drawn = Array.from({ length: 60 }, (_, i) => (i + 0.5) / 60);
    const { ids } = await choose(
      drawn.map(() => row),
      drawn,
      { topP: 0.9 },
    );
    let below = 0;
    const starts = p.map((x) => {
      below += x;
      return below - x;
    });
    for (const [i, id] of ids.entries()) {
      expect(p[id]).toBeGreaterThan(0);
      expect(Math.abs(drawn[i]! - starts[id]! - p[id]! / 2)).toBeLessThan(p[id]! / 2 + 1e-5);
    }
  });
});

test('frequencies of a large vocabulary, tokens of every block', async () => {
  for (const size of [1009, 1024]) {
    const sessions = new Sessions({ threads: 1, verbatim: false });
    const { blocks, width } = blocksOf(size);
    expect(blocks * width).toBeGreaterThanOrEqual(size);
    expect(Math.max(blocks, width)).toBeLessThan(4 * Math.sqrt(size));
    const chooser = new Chooser({ sessions, model: modelOf(size) as never, dtype: 'float32' }, {});
    const draws = 20 * size;
    const drawn = Float64Array.from({ length: draws }, (_, i) => (i + 0.5) / draws);
    const rows = 500;
    const counts = new Float64Array(size);
    for (let from = 0; from < draws; from += rows) {
      const part = drawn.subarray(from, Math.min(draws, from + rows));
      const { ids } = await chooser.choose(
        new Float32Array(part.length * size),
        part.slice(),
        'wide',
        (_, g) => new Map(g),
      );
      for (const id of ids) counts[id] = counts[id]! + 1;
    }
    for (const n of counts) expect(Math.abs(n - 20)).toBeLessThanOrEqual(1);
    await sessions.dispose();
  }
});
