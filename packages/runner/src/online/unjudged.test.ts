import { readFileSync } from 'node:fs';
import { getObjective } from '@kelpie/objectives';
import { rowReward } from '@kelpie/rewards';
import { expect, it, test } from 'vitest';
import { memory } from '../loggers/index.js';
import { scratch, tinyPolicy } from '../testing/tiny.js';
import { trainOnline } from './loop.js';
import { objectiveMetrics, rewardMetrics } from './metrics.js';

const place = scratch();

it('a step of which nothing was judged has no reward, is warned of, and teaches nothing', async () => {
  const policy = await tinyPolicy(place('model'));
  const blind = rowReward(() => Number.NaN, { name: 'blind', abstains: true });
  const seen = rowReward(({ ids }) => ids.length, { name: 'seen' });
  const weights = async (name: string) => {
    await policy.save(place(name));
    return readFileSync(`${place(name)}/model.safetensors`);
  };
  const before = await weights('before');
  const log = memory();
  await trainOnline({
    ...{ policy, objective: getObjective('rloo'), rewards: [{ reward: blind }], watched: [seen] },
    prompts: [1, 2, 3, 4].map((id) => ({ id: `${id}`, ids: [1, id] })),
    options: {
      ...{ steps: 2, promptsPerStep: 2, completions: 4, maxNewTokens: 4, learningRate: 1e-2 },
      ...({ penalty: 'kl', penaltyIn: 'loss' } as const),
    },
    ...{ heldout: [{ id: 'held', ids: [1, 4] }], outFolder: place('run'), stop: [0], loggers: [log], save: false },
  });
  const steps = log.of('step').map(({ metrics }) => metrics);
  for (const metrics of [...steps, ...log.of('evaluation').map(({ metrics }) => metrics)]) {
    expect(Object.keys(metrics).filter((key) => /reward|scores/.test(key))).toEqual([]);
  }
  expect(steps.map(({ updates }) => updates)).toEqual([0, 0]);
  expect(steps[0]).toHaveProperty(['watched/seen/mean']);
  expect(log.of('warning').map(({ message }) => message)).toEqual([
    'step 1: no reward judged any of the 8 completions, so nothing was learnt from them',
    'step 2: no reward judged any of the 8 completions, so nothing was learnt from them',
  ]);
  expect((await weights('after')).equals(before)).toBe(true);
});

test('scores and penalties are means over the same completions: those that were judged', () => {
  const grid = { rows: 3, tokens: 1, completionMask: Uint8Array.of(1, 1, 1) };
  const logprobs = Float64Array.of(-1, -2, -3);
  const rewards = Float64Array.of(2, 3, Number.NaN);
  const penalties = Float64Array.of(1, 2, 30);
  const found = objectiveMetrics(grid, { logprobs, entropy: logprobs }, { rewards, penalties, coef: 1 });
  expect(found).toMatchObject({
    'objective/scores': 4,
    'objective/non_score_reward': -1.5,
    'objective/rlhf_reward': 2.5,
    'objective/entropy': 2,
  });
});

test('a part that judged nothing has no key, whatever the others judged', () => {
  const judged = { rewards: Float64Array.of(1, 2), watched: {}, terms: [], weights: [], state: {} };
  const parts = { none: Float64Array.of(Number.NaN, Number.NaN), some: Float64Array.of(Number.NaN, 2) };
  const found = rewardMetrics({ ...judged, parts }, Int32Array.of(0, 0));
  expect(found).toMatchObject({ reward: 1.5, 'rewards/some/mean': 2 });
  expect(found).not.toHaveProperty(['rewards/none/mean']);
});
