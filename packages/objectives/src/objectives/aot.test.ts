import { describe, expect, test } from 'vitest';
import { lossOfPair, pairsOf } from '../testing/index.js';
import { aot } from './aot.js';
import { dpo } from './dpo.js';

const softplus = (x: number) => Math.log1p(Math.exp(x));

/** Policy margins 4, 1, 2 and, by other reference numbers, reference margins 0, 2, 1. */
const margins = {
  rows: 6,
  tokens: 1,
  completionMask: Uint8Array.of(1, 1, 1, 1, 1, 1),
  policy: { logprobs: Float64Array.of(-1, -5, -2, -3, -1, -3) },
  reference: { logprobs: Float64Array.of(-4, -4, -1, -3, -2, -3) },
};

describe('melnyk2024: paired', () => {
  const { loss, cotangents, details } = aot.evaluate(margins, { beta: 1 });

  test('margins under policy and reference, each sorted', () => {
    // Sorted: 1, 2, 4 and 0, 1, 2
    expect([...details!.losses!]).toEqual([1, 1, 2].map((delta) => expect.closeTo(softplus(-delta), 14)));
    expect(loss).toBeCloseTo((2 * softplus(-1) + softplus(-2)) / 3, 14);
    expect([...details!.order!]).toEqual([1, 2, 0]);
  });

  test('the gradient goes to the pair that a policy margin came from', () => {
    const slopes = [2, 1, 1].flatMap((delta) => [-1, 1].map((sign) => sign / 3 / (1 + Math.exp(delta))));
    expect([...cotangents.logprobs!]).toEqual(slopes.map((slope) => expect.closeTo(slope, 14)));
  });

  test('details of rows stay in their order', () => {
    expect([...details!.margins!]).toEqual([4, -1, 1]);
  });
});

describe('melnyk2024: unpaired', () => {
  const { cotangents, details } = aot.evaluate(pairsOf([[3], [1]], [[1], [2]], [[2], [0]]), {
    beta: 1,
    pairing: 'unpaired',
  });

  test('logratios of chosen and of rejected, each sorted', () => {
    expect([...details!.losses!]).toEqual([1, 1, 1].map((delta) => expect.closeTo(softplus(-delta), 14)));
    expect([...details!.order!]).toEqual([1, 2, 0]);
    expect([...details!.rejectedOrder!]).toEqual([2, 0, 1]);
  });

  test('the gradient goes to the rows of that rank', () => {
    const slope = 1 / 3 / (1 + Math.E);
    expect([...cotangents.logprobs!]).toEqual(
      [-slope, slope, -slope, slope, -slope, slope].map((value) => expect.closeTo(value, 14)),
    );
  });

  test('which pairs they make up says nothing', () => {
    const options = { beta: 1, pairing: 'unpaired' } as const;
    const { loss } = aot.evaluate(pairsOf([[3], [0]], [[1], [1]], [[2], [2]]), options);
    expect(loss).toBeCloseTo(softplus(-1), 14);
  });
});

test('a single pair: dpo', () => {
  for (const pairing of ['paired', 'unpaired'] as const) {
    const options = { beta: 0.3, labelSmoothing: 0.1 };
    const same = lossOfPair(dpo, [0.8, -0.4], options).map((value) => expect.closeTo(value, 15));
    expect(lossOfPair(aot, [0.8, -0.4], { ...options, pairing })).toEqual(same);
  }
});
