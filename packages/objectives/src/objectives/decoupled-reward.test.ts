import { describe, expect, test } from 'vitest';
import { oneTokenRows } from '../testing/rows-of.js';
import { decoupledReward } from './decoupled-reward.js';

/** Completions of 1, 2 and 1 tokens: right, right, wrong. */
const input = {
  rows: 3,
  tokens: 2,
  completionMask: Uint8Array.of(1, 0, 1, 1, 1, 0),
  policy: { logprobs: Float64Array.of(-1, 0, -2, -4, -5, 0) },
  old: { logprobs: Float64Array.of(-1, 0, -2, -4, -5, 0) },
  perRow: { groups: Int32Array.of(0, 0, 0), rewards: Float64Array.of(1, 1, 0) },
};

describe('li2025', () => {
  test('short right answers weigh more: exp((1 - n/C)/lambda), normalised over the right ones alone', () => {
    const { details, loss, cotangents } = decoupledReward.evaluate(input, {
      maxTokens: 2,
      lambda: 0.5 / Math.log(3),
    });
    expect([...details!.weights!]).toEqual([0.75, 0.25, 0].map((x) => expect.closeTo(x, 14)));
    // s = -1, -3, -5; one wrong answer: tau log mean exp(s/tau) is its score.
    expect(loss).toBeCloseTo(-(0.75 * -1 + 0.25 * -3 - -5), 13);
    expect([...cotangents.logprobs!]).toEqual([-0.75, 0, -0.125, -0.125, 1, 0].map((x) => expect.closeTo(x, 13)));
  });

  test('without the length reward it is DisCO: right answers count alike', () => {
    const { details } = decoupledReward.evaluate(input, { lengthReward: false });
    expect([...details!.weights!]).toEqual([0.5, 0.5, 0]);
  });

  test('a low tau takes the likeliest wrong answer', () => {
    const two = oneTokenRows({ logprobs: [-1, -2, -3], perRow: { rewards: [1, 0, 0] } });
    const { logprobs } = decoupledReward.evaluate(two, { tau: 0.01 }).cotangents;
    expect([...logprobs!]).toEqual([-1, 1, 0].map((x) => expect.closeTo(x, 14)));
  });

  test('the squared excess of the KL over delta: half of klWeight', () => {
    const away = oneTokenRows({ logprobs: [-2, -2], oldLogratios: [-0.4, -0.2], perRow: { rewards: [1, 1] } });
    const { loss, cotangents, metrics } = decoupledReward.evaluate(away, { klWeight: 10, delta: 0.1 });
    // KL = mean of log(old/new) = 0.3
    expect(metrics.kl!.sum / metrics.kl!.count).toBeCloseTo(0.3, 14);
    expect(loss).toBeCloseTo(5 * 0.04, 14);
    expect([...cotangents.logprobs!]).toEqual([-1, -1].map((x) => expect.closeTo(x, 13)));
  });
});

test('groups of one kind and what is not judged or empty say nothing', () => {
  const some = oneTokenRows({
    logprobs: [-1, -2, -3, -4],
    lengths: [1, 1, 1, 0],
    perRow: { groups: [0, 0, 1, 1], rewards: [1, Number.NaN, 1, 0] },
  });
  const { loss, cotangents } = decoupledReward.evaluate(some);
  expect(loss).toBe(0);
  expect([...cotangents.logprobs!].every((slope) => slope === 0)).toBe(true);
});
