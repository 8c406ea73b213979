import { describe, expect, test } from 'vitest';
import { gae } from './gae.js';
import {
  batchStd,
  groupMean,
  groupStd,
  informativeRows,
  leaveOneOut,
  lengthWeighted,
  normalizeBatch,
  normalizeThenSum,
} from './groups.js';
import { discountedReturns, reinforcePlusPlus, remax } from './returns.js';
import { whiten } from './whiten.js';

const of = (...values: number[]) => Float64Array.from(values);
const groups = (...ids: number[]) => Int32Array.from(ids);
const near = (...values: number[]) => values.map((value) => expect.closeTo(value, 12));

describe('schulman2015 eq 16', () => {
  const grid = { rows: 1, tokens: 3, completionMask: Uint8Array.of(1, 1, 1) };
  const rewards = of(0, 0, 1);
  const values = of(0.5, 0.25, 0.75);

  test('gaeLambda 0 is the temporal difference', () => {
    const { advantages, returns } = gae(grid, { rewards, values }, { gamma: 0.5, gaeLambda: 0 });
    expect([...advantages]).toEqual(near(0.125 - 0.5, 0.375 - 0.25, 0.25));
    expect([...returns]).toEqual(near(0.125, 0.375, 1));
  });

  test('gaeLambda 1 is the return minus the value', () => {
    const { advantages, returns } = gae(grid, { rewards, values }, { gaeLambda: 1 });
    expect([...returns]).toEqual(near(1, 1, 1));
    expect([...advantages]).toEqual(near(0.5, 0.75, 0.25));
  });

  test('a hole is jumped over, or recursed through as zeros', () => {
    const holed = { ...grid, completionMask: Uint8Array.of(1, 0, 1) };
    const junk = { rewards: of(0, Number.NaN, 1), values: of(0.5, Number.NEGATIVE_INFINITY, 0.75) };
    const jumped = gae(holed, junk, { gamma: 1, gaeLambda: 0.5 });
    expect([...jumped.advantages]).toEqual(near(0.75 - 0.5 + 0.5 * 0.25, 0, 0.25));
    const zeros = gae(holed, junk, { gamma: 1, gaeLambda: 0.5, holes: 'zeros' });
    // The hole: δ = V = 0.75, A = 0.75 + 0.5 · 0.25.
    expect([...zeros.advantages]).toEqual(near(0 - 0.5 + 0.5 * 0.875, 0, 0.25));
  });
});

describe('whitening', () => {
  test('masked, by n - 1', () => {
    expect([...whiten(of(1, 3, 99), Uint8Array.of(1, 1, 0), { epsilon: 0 })]).toEqual(
      near(-Math.SQRT1_2, Math.SQRT1_2, 0),
    );
  });

  test('by n; the mean kept', () => {
    const mask = Uint8Array.of(1, 1);
    expect([...whiten(of(1, 3), mask, { epsilon: 0, unbiased: false })]).toEqual(near(-1, 1));
    expect([...whiten(of(1, 3), mask, { epsilon: 0, unbiased: false, shiftMean: false })]).toEqual(near(1, 3));
  });

  test('over all entries, masked ones as zeros', () => {
    // Mean 1 and variance 2 of 3, 0, 0.
    const whitened = whiten(of(3, Number.NaN, 0), Uint8Array.of(1, 0, 1), { epsilon: 0, unbiased: false, over: 'all' });
    expect([...whitened]).toEqual(near(Math.SQRT2, 0, -Math.SQRT1_2));
  });

  test('fewer than two entries, or all the same, give 0', () => {
    expect([...whiten(of(5, 7), Uint8Array.of(1, 0), { shiftMean: false })]).toEqual([0, 0]);
    expect([...whiten(of(5, 5), Uint8Array.of(1, 1))]).toEqual([0, 0]);
  });
});

describe('groups', () => {
  const two = { rewards: of(0, 2, 5, 5), groups: groups(7, 7, 9, 9) };

  test('deviation of the group; a group of equals is 0', () => {
    expect([...groupStd(two, { epsilon: 0.5 })]).toEqual(near(-1 / (Math.SQRT2 + 0.5), 1 / (Math.SQRT2 + 0.5), 0, 0));
    expect([...groupStd(two, { epsilon: 0.5, unbiased: false })]).toEqual(near(-1 / 1.5, 1 / 1.5, 0, 0));
  });

  test('mean alone; deviation of the batch; mean of the others', () => {
    expect([...groupMean(two)]).toEqual([-1, 1, 0, 0]);
    // Deviation of 0, 2, 5, 5: √6.
    expect([...batchStd(two, { epsilon: 0 })]).toEqual(near(-1 / Math.sqrt(6), 1 / Math.sqrt(6), 0, 0));
    expect([...leaveOneOut({ rewards: of(0, 1, 5), groups: groups(0, 0, 0) })]).toEqual(near(-3, -1.5, 4.5));
  });

  test('the longer completion weighs more in the baseline', () => {
    expect([...lengthWeighted({ rewards: of(0, 4), groups: groups(0, 0) }, of(1, 3))]).toEqual(near(-3, 1));
    expect([...lengthWeighted({ rewards: of(0, 4), groups: groups(0, 0) }, of(0, 0))]).toEqual([0, 0]);
  });

  test('a row without a reward takes no part; a group left with one is 0', () => {
    const holed = { rewards: of(Number.NaN, 1, 3, Number.NaN, 8), groups: groups(0, 0, 0, 1, 1) };
    expect([...groupMean(holed)]).toEqual([0, -1, 1, 0, 0]);
    expect([...leaveOneOut(holed)]).toEqual(near(0, -2, 2, 0, 0));
    expect([...groupStd(holed)].every(Number.isFinite)).toBe(true);
  });

  test('every reward normalised, then their sum', () => {
    const normalised = normalizeThenSum(
      { rewards: [of(0, 2, 0, 2), of(10, 0, Number.NaN, Number.NaN)], weights: [1, 3], groups: groups(0, 0, 1, 1) },
      { epsilon: 0, unbiased: false },
    );
    // Sums -1 + 3, 1 - 3, -1, 1: deviation √(10/4).
    expect([...normalised]).toEqual(near(...[2, -2, -1, 1].map((sum) => sum / Math.sqrt(2.5))));
  });

  test('over the batch', () => {
    expect([...normalizeBatch(of(1, Number.NaN, 3), { epsilon: 0, unbiased: false })]).toEqual(near(-1, 0, 1));
  });

  test('rows of groups that tell something', () => {
    const rewards = of(1, 1, 0, 1, Number.NaN, 1);
    expect([...informativeRows({ rewards, groups: groups(0, 0, 1, 1, 2, 2) })]).toEqual([0, 0, 1, 1, 0, 0]);
  });
});

describe('returns', () => {
  const grid = { rows: 2, tokens: 2, completionMask: Uint8Array.of(1, 1, 1, 0) };
  const rewards = of(1, 2, 3, Number.NaN);

  test('discounted sums of what follows', () => {
    expect([...discountedReturns(grid, rewards, 0.5)]).toEqual([2, 2, 3, 0]);
  });

  test('REINFORCE++ whitens them, ReMax takes off a baseline', () => {
    const { returns, advantages } = reinforcePlusPlus(grid, rewards, { gamma: 0.5, epsilon: 0, unbiased: false });
    expect([...returns]).toEqual([2, 2, 3, 0]);
    expect([...advantages]).toEqual(near(-Math.SQRT1_2, -Math.SQRT1_2, Math.SQRT2, 0));
    expect([...remax(grid, rewards, of(1, 10)).advantages]).toEqual([2, 1, -7, 0]);
  });
});
