import { getObjective } from '@kelpie/objectives';
import type { Policy } from '@kelpie/policy';
import { rowReward } from '@kelpie/rewards';
import { describe, expect, it } from 'vitest';
import { memory } from '../loggers/index.js';
import { altered, scratch, tinyPolicy } from '../testing/tiny.js';
import { inProcess, type RolloutEngine } from './engines/index.js';
import { trainOnline } from './loop.js';
import type { OnlineOptionsInput } from './options.js';
import type { OnlineRun } from './run.js';

const place = scratch();
const prompts = Array.from({ length: 6 }, (_, i) => ({ id: `prompt-${i}`, ids: [1, 2 + (i % 5), 7 + (i % 3)] }));
const small = rowReward(({ ids }) => Array.from(ids).filter((id) => id < 8).length / Math.max(1, ids.length), {
  name: 'small',
});
/** Every other prompt's completions are not judged, so that some passes are of rows that nothing is learnt from. */
const half = rowReward(({ ids, meta }) => (/[135]$/.test(`${meta.id}`) ? Number.NaN : ids.length), {
  ...{ name: 'half', abstains: true },
});
const options: OnlineOptionsInput = {
  ...{ steps: 5, promptsPerStep: 3, completions: 4, maxNewTokens: 5, learningRate: 1e-2 },
  ...{ schedule: 'constant' as const, evaluateEvery: 0 },
};

/** The decoder as an engine of another kind: its log-probabilities are not relied on. */
const stranger: RolloutEngine = { ...inProcess, name: 'stranger', draw: inProcess.draw.bind(inProcess) };

async function train(folder: string, { policy, ...given }: Partial<OnlineRun>) {
  const log = memory();
  const own: Policy = policy ?? (await tinyPolicy(place('model'), { dtype: 'float64' }));
  const asked = { later: 0 };
  const counted = altered(own, {
    vjp: (request) => {
      if (request.logprobs !== undefined) asked.later++;
      return own.vjp(request);
    },
  });
  const outFolder = place(folder);
  const run = { prompts, rewards: [{ reward: small }], options, outFolder, stop: [0], loggers: [log] };
  await trainOnline({ policy: counted, objective: getObjective('grpo'), ...run, ...given });
  return { log, asked };
}

describe('forward passes that wait for their cotangents, where the decoder knows the log-probabilities', () => {
  it.each([
    [
      'grpo, KL in the loss',
      { objective: getObjective('grpo'), options: { ...options, penalty: 'kl', penaltyIn: 'loss' } },
    ],
    [
      'rloo, KL in the reward',
      { objective: getObjective('rloo'), options: { ...options, penalty: 'kl', penaltyCoef: 0.1 } },
    ],
    ['an occupancy penalty', { objective: getObjective('rloo'), options: { ...options, penalty: 'occupancy-chi2' } }],
    ['rows without a judgement', { objective: getObjective('rloo'), rewards: [{ reward: half }] }],
    ['two passes over the rows', { objective: getObjective('grpo'), options: { ...options, rolloutEpochs: 2 } }],
    ['no check of the first step', { objective: getObjective('grpo'), selfCheckTolerance: false }],
    ['one row a micro-batch', { objective: getObjective('grpo'), options: { ...options, microBatchRows: 1 } }],
  ] satisfies [string, Partial<OnlineRun>][])('%s: all that is learnt and told is the same', async (name, given) => {
    const later = await train(`later ${name}`, given);
    const before = await train(`before ${name}`, { ...given, engine: stranger });
    expect(before.asked.later).toBe(0);
    expect(later.asked.later).toBeGreaterThanOrEqual(4);
    const [steps, expected] = [later, before].map(({ log }) => log.of('step'));
    expected!.forEach((step, at) => {
      const own = steps![at]!;
      expect(Object.keys(own.metrics).toSorted()).toEqual(Object.keys(step.metrics).toSorted());
      for (const [key, value] of Object.entries(step.metrics)) expect(own.metrics[key], key).toBeCloseTo(value, 8);
      expect(own.gradNorm).toBeCloseTo(step.gradNorm, 8);
    });
    const rows = [later, before].map(({ log }) => log.of('rollouts').flatMap(({ rows }) => rows));
    rows[1]!.forEach(({ logprobs, ...row }, at) => {
      const { logprobs: own, ...others } = rows[0]![at]!;
      expect(own.length).toBe(logprobs.length);
      for (const [i, logprob] of logprobs.entries()) expect(own[i]).toBeCloseTo(logprob, 9);
      expect({ ids: others.ids, reward: others.reward }).toEqual({ ids: row.ids, reward: row.reward });
    });
  });

  it.each([
    ['a temperature', { temperature: 0.7 }],
    ['several mini-batches', { miniBatches: 3 }],
    ['a penalty that is measured beforehand', { penalty: 'exact-reverse-kl', penaltyIn: 'both' }],
  ] satisfies [string, OnlineOptionsInput | object][])('not with %s', async (name, given) => {
    const { asked } = await train(`not ${name}`, { options: { ...options, ...given } });
    expect(asked.later).toBe(0);
  });

  it('no pass is left where a step cannot be taken, and what was drawn before is kept', async () => {
    const policy = await tinyPolicy(place('model'));
    const waiting = { left: 0, steps: 0 };
    const broken = altered(policy, {
      vjp: async (request) => {
        const vjp = await policy.vjp(request);
        waiting.left++;
        let released = false;
        const release = async () => {
          if (!released) waiting.left--;
          released = true;
          await vjp.release();
        };
        return { ...vjp, release };
      },
      step: async (learningRate) => {
        if (++waiting.steps === 3) throw new Error('no step');
        return policy.step(learningRate);
      },
    });
    const log = memory();
    const run = { policy: broken, prompts, rewards: [{ reward: small }], options, stop: [0], loggers: [log] };
    const failing = trainOnline({ ...run, objective: getObjective('grpo'), outFolder: place('broken') });
    await expect(failing).rejects.toThrow('no step');
    expect(log.of('rollouts').map(({ step }) => step)).toEqual([1, 2]);
    expect(waiting.left).toBe(0);
  });

  it('rollouts of a step are told before whatever comes behind it', async () => {
    const { log } = await train('order', { options: { ...options, evaluateEvery: 2, saveEvery: 3 }, heldout: prompts });
    const told = log.events.flatMap((event) =>
      ['step', 'rollouts', 'evaluation', 'checkpoint', 'end'].includes(event.type) ? [event.type] : [],
    );
    const step = ['step', 'rollouts'];
    expect(told).toEqual([
      ...['evaluation', ...step, ...step, 'evaluation', ...step, 'checkpoint'],
      ...[...step, 'evaluation', ...step, 'evaluation', 'end'],
    ]);
  });
});
