import { describe, expect, it } from 'vitest';
import { openReward, rewardTypes } from './config.js';
import { leaf } from './reward.js';
import { defineSource } from './source.js';
import { rowOf } from './testing/rows.js';

const rows = [rowOf('one two'), rowOf('one two three four', { ended: false })];

it('opens what a config describes, nested as it is', async () => {
  const reward = await openReward({
    type: 'weighted-sum',
    terms: [
      { weight: 2, reward: { type: 'clipped', low: -0.25, of: { type: 'length', unit: 'words', target: 2 } } },
      { weight: 1, reward: { type: 'ended', name: 'end' } },
    ],
  });
  const { rewards, parts } = await reward.judge(rows);
  expect([...rewards]).toEqual([1, -0.5]);
  expect(Object.keys(parts)).toEqual(['length', 'length/clipped', 'end', 'sum']);
});

it.each([
  [{ type: 'ensemble', how: 'worst', members: [{ type: 'ended' }, { type: 'length', unit: 'words' }] }, [1, 0]],
  [{ type: 'normalised', by: { mean: 2, deviation: 4 }, of: { type: 'length', unit: 'words' } }, [0, 0.5]],
  [{ type: 'calibrated', reference: { 'Say something:': [1, 2, 3] }, of: { type: 'length' } }, [2 / 3, 1]],
  [{ type: 'planted-error', gold: { mean: 0, deviation: 1 }, correlation: 1, bias: 3, of: { type: 'ended' } }, [4, 3]],
])('opens %o', async (config, expected) => {
  const { rewards } = await (await openReward(config)).judge(rows);
  for (const [at, value] of expected.entries()) expect(rewards[at]).toBeCloseTo(value, 12);
});

it("opens a function of a user's file", async () => {
  const load = async (file: string) =>
    file === './mine.ts' ? ({ completion }: { completion: string }) => completion.length : 0;
  const reward = await openReward({ type: 'function', name: 'letters', file: './mine.ts' }, { load });
  expect((await reward.judge(rows)).parts.letters).toEqual(Float64Array.of(7, 18));
  await expect(openReward({ type: 'function', file: './other.ts' }, { load })).rejects.toThrow(
    'expected a function of a row',
  );
});

describe('says what is wrong, and where', () => {
  it.each([
    [undefined, '`type`: there is no reward nothing; one of classifier, '],
    [{ type: 'lenght' }, '`type`: there is no reward "lenght"; nearest: length'],
    [
      { type: 'clipped', low: 0, of: { type: 'length', targte: 4 } },
      'option `targte`: there is none; nearest: target, ',
    ],
    [{ type: 'clipped', low: 0, of: { type: 'length', target: 'x' } }, '(place `of`)'],
    [{ type: 'clipped', low: 0, of: {} }, 'reward `clipped`: option `of.type`: '],
    [
      { type: 'ensemble', members: [{ type: 'ended' }, { type: 'endde' }] },
      '`members.1.type`: there is no reward "endde"',
    ],
    [{ type: 'weighted-sum', terms: [{ reward: { type: 'ended' } }] }, 'option `terms.0.weight`: '],
    [{ type: 'ensemble', members: [{ type: 'ended' }, { type: 'ended' }] }, 'two parts are called `ended`'],
    [{ type: 'clipped', low: 0, hihg: 1, of: { type: 'ended' } }, 'Unrecognized key: "hihg"'],
  ])('%o', async (config, message) => {
    await expect(openReward(config)).rejects.toThrow(message);
  });
});

it('lets go of what it had opened when a later part cannot be', async () => {
  let disposed = 0;
  const held = leaf({
    name: 'held',
    judge: async (all) => ({ rewards: all.map(() => 0) }),
    dispose: async () => void disposed++,
  });
  const members = [{ type: 'function', file: 'held.ts' }];
  const load = async () => held;
  for (const last of [
    { type: 'length', target: -1 },
    { type: 'ended', name: 'held' },
  ])
    await expect(openReward({ type: 'ensemble', members: [...members, last] }, { load })).rejects.toThrow();
  expect(disposed).toBe(2);
});

it('lists every type once, with a line on each and on each option that needs one', () => {
  const names = rewardTypes.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  expect(names).toEqual(expect.arrayContaining(['length', 'http', 'classifier', 'function', 'ensemble', 'calibrated']));
  for (const { summary } of rewardTypes) expect(summary).toMatch(/^[a-z-].*[^.]$/);
});

it('opens sources of others by their names, and keeps the hash of what is behind them', async () => {
  const mine = defineSource({
    name: 'mine',
    summary: 'a source of another package',
    options: {},
    open: ({ name }) => leaf({ name, hash: 'abc', judge: async (all) => ({ rewards: all.map(() => 3) }) }),
  });
  const reward = await openReward({ type: 'clipped', high: 2, of: { type: 'mine' } }, { sources: [mine] });
  expect([...(await reward.judge([rowOf('a')])).rewards]).toEqual([2]);
  expect(reward.hash).toBe('abc');
  await expect(openReward({ type: 'mien' }, { sources: [mine] })).rejects.toThrow('nearest: mine');
});
