import { describe, expect, test } from 'vitest';
import { oneTokenRows } from '../testing/rows-of.js';
import { dpo } from './dpo.js';
import { plackettLuce } from './plackett-luce.js';

const list = (logratios: readonly number[], ranks: readonly number[], groups?: readonly number[]) =>
  oneTokenRows({ logratios, perRow: { ranks, ...(groups && { groups }) } });

describe('rafailov2023 appendix A.3', () => {
  test('log K! where all scores are equal, whatever the ranking', () => {
    expect(plackettLuce.evaluate(list([0, 0, 0], [1, 2, 0])).loss).toBeCloseTo(Math.log(6), 14);
  });

  test('each of three drawn before the rest: -log(3/6 · 2/3) at odds 3, 2, 1', () => {
    const { loss, details } = plackettLuce.evaluate(list([Math.log(3), Math.log(2), 0], [0, 1, 2]), { beta: 1 });
    expect(loss).toBeCloseTo(Math.log(3), 14);
    // softmax over the whole list minus 1 for the best; over the last two as well, minus 1, for the second.
    expect([...details!.scoreGradients!]).toEqual([
      expect.closeTo(1 / 2 - 1, 14),
      expect.closeTo(1 / 3 + 2 / 3 - 1, 14),
      expect.closeTo(1 / 6 + 1 / 3, 14),
    ]);
  });

  test('two completions are DPO', () => {
    const logratios = [0.3, -1.2, 2, 0.7];
    const ranked = plackettLuce.evaluate(list(logratios, [0, 1, 0, 1], [0, 0, 1, 1]), { beta: 0.4 });
    const paired = dpo.evaluate(oneTokenRows({ logratios }), { beta: 0.4 });
    expect(ranked.loss).toBeCloseTo(paired.loss, 15);
    ranked.cotangents.logprobs!.forEach((slope, at) => {
      expect(slope).toBeCloseTo(paired.cotangents.logprobs![at]!, 15);
    });
  });

  test('top 1: the cross-entropy of the best against its list', () => {
    const { loss } = plackettLuce.evaluate(list([0, Math.log(3), 0], [1, 0, 2]), { beta: 1, topK: 1 });
    expect(loss).toBeCloseTo(-Math.log(3 / 5), 14);
  });
});

describe('conventions', () => {
  test('ties say nothing, or stand in each other’s pool', () => {
    const tied = list([0, 0, 0], [0, 0, 1]);
    expect(plackettLuce.evaluate(tied).loss).toBeCloseTo(2 * Math.log(2), 14);
    expect(plackettLuce.evaluate(tied, { ties: 'breslow' }).loss).toBeCloseTo(2 * Math.log(3), 14);
    expect(plackettLuce.evaluate(list([1, -1], [0, 0])).loss).toBe(0);
  });

  test('what is absent takes no part; a list without a preference counts in the mean', () => {
    const two = list([0, 5, 0, 1, 1, 1], [0, -1, 1, 0, -1, -1], [0, 0, 0, 1, 1, 1]);
    const { loss, cotangents } = plackettLuce.evaluate(two);
    expect(loss).toBeCloseTo(Math.LN2 / 2, 15);
    expect(cotangents.logprobs![1]).toBe(0);
  });

  test('accuracy counts pairs of different rank', () => {
    const { metrics } = plackettLuce.evaluate(list([2, 1, 3], [0, 1, 2]));
    expect(metrics['rewards/accuracies']).toEqual({ sum: 1, count: 3 });
  });
});
