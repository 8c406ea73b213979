import { type Grid, gae, getObjective, reinforcePlusPlus } from '@kelpie/objectives';
import type { Completion, Policy } from '@kelpie/policy';
import { rowReward } from '@kelpie/rewards';
import { describe, expect, it, test } from 'vitest';
import { memory } from '../loggers/index.js';
import { altered, scratch, tinyPolicy } from '../testing/tiny.js';
import { misplaced } from './check.js';
import { trainOnline } from './loop.js';
import { onlineOptions } from './options.js';
import { shape } from './penalties.js';

const place = scratch();
const most = 4;
const end = 0;

/** Every length up to the most, ended and cut off. The longest that ends does so on its last place. */
const endings = Array.from({ length: most }, (_, i) => i + 1).flatMap((length) =>
  [true, false].map((ended) => ({ ids: idsOf(length, ended), ended })),
);
/** Every two of them, side by side in a batch. */
const batches = endings.flatMap((first) => endings.map((second) => [first, second]));

function idsOf(length: number, ended: boolean): number[] {
  const ids = Array.from({ length }, (_, i) => 5 + i);
  return ended ? [...ids.slice(0, -1), end] : ids;
}

type Side = 'left' | 'right';

/** Rows of these lengths, padded at one side. */
function padded(lengths: readonly number[], side: Side, tokens: number): Grid {
  const completionMask = new Uint8Array(lengths.length * tokens);
  lengths.forEach((length, row) => {
    const from = row * tokens + (side === 'left' ? tokens - length : 0);
    completionMask.fill(1, from, from + length);
  });
  return { rows: lengths.length, tokens, completionMask };
}

const { rewardClip: _, missingEos: __, ...plain } = onlineOptions.parse({ penalty: 'kl' });

describe.each(['left', 'right'] as const)('padded at the %s', (side) => {
  /** Numbers of rows' tokens, in order. */
  const tokensOf = ({ rows, tokens, completionMask }: Grid, values: Float64Array) =>
    Array.from({ length: rows }, (_, row) =>
      [...values.subarray(row * tokens, (row + 1) * tokens)].filter((_, t) => completionMask[row * tokens + t]),
    );

  it('a reward stands on the last token of its completion, whatever the lengths, ends and the width', () => {
    for (const width of [most, most + 2]) {
      for (const batch of batches) {
        const lengths = batch.map(({ ids }) => ids.length);
        const grid = padded(lengths, side, width);
        const junk = Float64Array.from(grid.completionMask, (bit) => (bit ? -1 : 7));
        const completions = {
          ...grid,
          logprobs: junk,
          referenceLogprobs: junk.map((value) => value - 0.25),
          rewards: Float64Array.of(3, 5),
          ended: Uint8Array.from(batch, ({ ended }) => (ended ? 1 : 0)),
        };
        const { tokenRewards, rewards } = shape(completions, 0.5, { ...plain, missingEos: 1 });
        const price = (row: number) => (batch[row]!.ended ? 0 : 1);
        const expected = lengths.map((length, row) =>
          Array.from({ length }, (_, t) => -0.125 + (t === length - 1 ? [3, 5][row]! - price(row) : 0)),
        );
        expect(tokensOf(grid, tokenRewards)).toEqual(expected);
        expect(tokenRewards.reduce((sum, value) => sum + value, 0)).toBeCloseTo(rewards[0]! + rewards[1]!, 12);
        expected.forEach((row, at) => {
          expect(row.reduce((sum, value) => sum + value, 0)).toBeCloseTo(rewards[at]!, 12);
        });
      }
    }
  });

  it('advantages and returns count from that token back', () => {
    for (const batch of batches) {
      const lengths = batch.map(({ ids }) => ids.length);
      const grid = padded(lengths, side, most);
      const completions = {
        ...grid,
        logprobs: new Float64Array(2 * most),
        rewards: Float64Array.of(1, 1),
        ended: Uint8Array.of(1, 1),
      };
      const { tokenRewards: rewards } = shape(completions, 0, { ...plain, penalty: 'none' });
      const values = new Float64Array(2 * most);
      const halves = lengths.map((length) => Array.from({ length }, (_, t) => 0.5 ** (length - 1 - t)));
      expect(tokensOf(grid, gae(grid, { rewards, values }, { gamma: 0.5, gaeLambda: 1 }).advantages)).toEqual(halves);
      expect(tokensOf(grid, reinforcePlusPlus(grid, rewards, { gamma: 0.5 }).returns)).toEqual(halves);
    }
  });
});

test('every length and end passes, and each of them that is off by one is found', () => {
  for (const batch of batches) {
    const lengths = batch.map(({ ids }) => ids.length);
    const rollouts = {
      ...padded(lengths, 'right', most),
      completions: batch,
      ended: Uint8Array.from(batch, ({ ended }) => (ended ? 1 : 0)),
    };
    const found = (given: Partial<typeof rollouts>) => misplaced({ ...rollouts, ...given }, [end], plain);
    expect(found({})).toBe(0);
    const [first] = batch;
    expect(found(padded([first!.ids.length - 1, lengths[1]!], 'right', most))).toBe(1);
    if (first!.ids.length < most) {
      expect(found(padded([first!.ids.length + 1, lengths[1]!], 'right', most))).toBe(1);
      expect(found(padded(lengths, 'left', most))).toBeGreaterThan(0);
    }
    expect(found({ ended: Uint8Array.from(rollouts.ended, (bit, row) => (row === 0 ? 1 - bit : bit)) })).toBe(1);
    const unended = batch.map(({ ids, ended }, row) =>
      row === 0 ? { ids: idsOf(ids.length, false), ended } : { ids, ended },
    );
    expect(found({ completions: unended })).toBe(first!.ended ? 1 : 0);
  }
});

/** A policy that says every ending to every prompt, instead of what it would. */
async function withEveryEnding(policy: Policy): Promise<Policy> {
  return altered(policy, {
    sample: async ({ prompts }) =>
      prompts.flatMap((_, prompt): Completion[] =>
        endings.map(({ ids, ended }) => ({ prompt, ids: [...ids], logprobs: new Float64Array(ids.length), ended })),
      ),
  });
}

const microBatches = [{}, { microBatchRows: 1 }, { microBatchTokens: 40 }];

it.each(microBatches)('a policy with a critic begins at ratio 1, KL 0 and nothing clipped: %o', async (budget) => {
  const policy = await withEveryEnding(await tinyPolicy(place('model'), { scalarHead: 'beside' }));
  const log = memory();
  await trainOnline({
    policy,
    objective: getObjective('ppo'),
    objectiveOptions: { beta: 0.1 },
    prompts: [2, 3, 5].map((length) => ({ id: `of ${length}`, ids: Array.from({ length }, (_, i) => 1 + i) })),
    rewards: [{ reward: rowReward(({ ids }) => ids.length, { name: 'length' }) }],
    options: { steps: 1, promptsPerStep: 3, completions: endings.length, maxNewTokens: most, penalty: 'kl', ...budget },
    outFolder: place(`run-${JSON.stringify(budget).replace(/\W/g, '')}`),
    stop: [end],
    loggers: [log],
    save: false,
  });
  const [check] = log.of('self-check');
  expect(check).toMatchObject({ passed: true });
  expect(check!.parts.map(({ name }) => name)).toEqual(['ratio', 'values', 'kl', 'clip fraction', 'reward place']);
  for (const { name, error } of check!.parts) {
    expect(error, name).toBeLessThanOrEqual(name === 'clip fraction' || name === 'reward place' ? 0 : 1e-5);
  }
  const { metrics } = log.of('step')[0]!;
  expect(metrics['val/ratio']).toBeCloseTo(1, 5);
  expect(metrics['objective/kl']).toBeCloseTo(0, 5);
  expect(metrics['policy/clipfrac_avg']).toBe(0);
  expect(metrics['val/clipfrac_avg']).toBe(0);
  expect(metrics['returns/mean']).toBeGreaterThan(0);
});
