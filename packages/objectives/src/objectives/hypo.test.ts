import { describe, expect, test } from 'vitest';
import { oneTokenRows } from '../testing/rows-of.js';
import { dpo } from './dpo.js';
import { hypo } from './hypo.js';

/** One offline pair, then two samples of one prompt and one of another. */
const input = oneTokenRows({
  logratios: [1, -1, 3, 1, 0.5],
  logprobs: [-2, -2, -1, -4, -2],
  perRow: { groups: [0, 0, 1, 1, 2], labels: [1, 0, 0, 0, 0], external: [1, 1, 0, 0, 0] },
});

describe('song2024', () => {
  test('DPO on the offline pairs', () => {
    const paired = dpo.evaluate(oneTokenRows({ logratios: [1, -1] }));
    const { loss, cotangents } = hypo.evaluate(input, { klWeight: 0 });
    expect(loss).toBeCloseTo(paired.loss, 15);
    expect([...cotangents.logprobs!]).toEqual(
      [...paired.cotangents.logprobs!, 0, 0, 0].map((x) => expect.closeTo(x, 15)),
    );
  });

  test('samples are weighed against the others of their prompt; one alone has no baseline', () => {
    const { details, cotangents, metrics } = hypo.evaluate(input, { klWeight: 0.6 });
    expect([...details!.klAdvantages!]).toEqual([0, 0, 2, -2, 0.5]);
    expect(details!.terms![1]).toBeCloseTo((2 * -1 + -2 * -4 + 0.5 * -2) / 3, 14);
    expect([...cotangents.logprobs!].slice(2)).toEqual([0.4, -0.4, 0.1].map((x) => expect.closeTo(x, 14)));
    expect(metrics.kl).toEqual({ sum: 4.5, count: 3 });
  });
});

test('an offline row without its other side is named', () => {
  const lone = oneTokenRows({ logratios: [1, 0], perRow: { labels: [1, 1], external: [1, 0] } });
  expect(() => hypo.evaluate(lone)).toThrowErrorMatchingInlineSnapshot(
    `[ObjectiveError: objective \`hypo\`, \`perRow.labels\`, row 0: expected as many chosen as rejected offline rows in a group, got 1 and 0.]`,
  );
});
