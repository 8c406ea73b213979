import { getObjective } from '@kelpie/objectives';
import { rowReward } from '@kelpie/rewards';
import { describe, expect, it } from 'vitest';
import { scratch, tinyPolicy } from '../testing/tiny.js';
import type { OnlineOptionsInput } from './options.js';
import { planOnline } from './plan.js';
import type { OnlineRun } from './run.js';

const place = scratch();
const policy = await tinyPolicy(place('model'));
const length = rowReward(({ ids }) => ids.length, { name: 'length' });

const planned = (options: OnlineOptionsInput, run: Partial<OnlineRun> = {}) =>
  planOnline({
    ...{
      policy,
      objective: getObjective('grpo'),
      prompts: [{ id: 'one', ids: [1, 2] }],
      rewards: [{ reward: length }],
    },
    ...{ outFolder: place('run'), options, ...run },
  });
const loss = { penalty: 'kl', penaltyIn: 'loss' } as const;

describe('the config of a run', () => {
  it('has the KL that is in force', () => {
    expect(planned({ ...loss }).config).toMatchObject({
      objectiveOptions: { beta: 0, klEstimator: 'k2' },
      options: { ...loss, klEstimator: 'k2', penaltyCoef: 0.05 },
    });
  });

  it('has what a controller goes by, and else is free to measure or not', () => {
    const divergence = (controller: 'fixed' | 'stepped') =>
      (planned({ penalty: 'kl', controller, divergence: false }).config.options as OnlineOptionsInput).divergence;
    expect(divergence('stepped')).toBe(false);
    expect(divergence('fixed')).toBeUndefined();
  });

  it('says that REINFORCE++ whitens', () => {
    expect(planned({ advantage: 'reinforce++' }).config).toMatchObject({ options: { whiten: true } });
    expect(planned({}).config).toMatchObject({ options: { whiten: false } });
  });
});

describe('what a rule of advantages would leave unread', () => {
  const each = { advantage: 'normalize-then-sum' } as const;
  const [plusPlus, group] = [{ advantage: 'reinforce++' }, { advantage: 'group-std' }] as const;
  it.each<[OnlineOptionsInput, string, string]>([
    [{ ...each, penalty: 'kl' }, 'penalty', 'set `penaltyIn` to `loss`'],
    [{ ...each, rewardClip: 1 }, 'rewardClip', 'reads each by itself'],
    [{ ...each, missingEos: 1 }, 'missingEos', 'reads each by itself'],
    [{ ...plusPlus, whiten: false }, 'whiten', 'whitened by its definition'],
    [{ ...plusPlus, gaeLambda: 0.5 }, 'gaeLambda', 'read by `gae` alone'],
    [{ ...group, gamma: 0.9 }, 'gamma', '`group-std` is of whole completions'],
    [{ ...group, gaeLambda: 0.5 }, 'gaeLambda', 'read by `gae` alone'],
  ])('%o is refused', (options, option, message) => {
    expect(() => planned(options)).toThrow(
      expect.objectContaining({ message: expect.stringContaining(message), where: { option } }),
    );
  });

  it.each<OnlineOptionsInput>([
    { ...each, ...loss },
    { ...plusPlus, gamma: 0.9, whiten: true },
    { ...group, gamma: 1, gaeLambda: 0.95, whiten: true },
  ])('%o is taken', (options) => {
    expect(() => planned(options)).not.toThrow();
  });
});
