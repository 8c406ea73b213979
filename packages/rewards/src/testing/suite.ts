import { describe, expect, it } from 'vitest';
import type { Reward, RewardRow } from '../reward.js';

/** What every reward that reads each row by itself must do: name, its rows and what each is worth. */
export function testReward(
  title: string,
  open: () => Reward | Promise<Reward>,
  cases: readonly (readonly [row: RewardRow, worth: number])[],
): void {
  const rows = cases.map(([row]) => row);
  const worth = cases.map(([, reward]) => reward);

  describe(title, () => {
    it('gives each row what it is worth, as a part under its name too', async () => {
      const reward = await open();
      const { rewards, parts } = await reward.judge(rows);
      for (const [at, expected] of worth.entries()) expect(rewards[at], rows[at]!.completion).toBeCloseTo(expected, 12);
      expect(Object.keys(parts)).toEqual(reward.parts);
      expect(parts[reward.name]).toEqual(rewards);
      await reward.dispose();
    });

    it('keeps the order, and judges a row the same whatever its neighbours', async () => {
      const reward = await open();
      const { rewards } = await reward.judge(rows);
      const backwards = await reward.judge([...rows].reverse());
      expect([...backwards.rewards].reverse()).toEqual([...rewards]);
      const alone = await reward.judge([rows[1]!]);
      expect(alone.rewards[0]).toBe(rewards[1]);
      await reward.dispose();
    });

    it('judges no row as nothing', async () => {
      const reward = await open();
      expect(await reward.judge([])).toMatchObject({ rewards: new Float64Array() });
      await reward.dispose();
    });

    it('rejects with the reason once it is aborted', async () => {
      const reward = await open();
      const reason = new Error('enough');
      await expect(reward.judge(rows, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
      await reward.dispose();
    });
  });
}
