import { readFileSync } from 'node:fs';
import { getObjective } from '@kelpie/objectives';
import type { Policy } from '@kelpie/policy';
import { rowReward } from '@kelpie/rewards';
import { describe, expect, it } from 'vitest';
import type { RunEvent } from '../events.js';
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

/** The policy as one that does not decode as it scores. */
const wary = (policy: Policy) => altered(policy, { info: { ...policy.info, tokensAtOnce: 0 } });

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
  const grpo = { objective: getObjective('grpo') };
  it.each([
    ['nothing beside', grpo],
    ['KL in the loss', { ...grpo, options: { ...options, penalty: 'kl', penaltyIn: 'loss' } }],
    ['rloo', { objective: getObjective('rloo') }],
    ['rows without a judgement', { objective: getObjective('rloo'), rewards: [{ reward: half }] }],
    ['two passes over the rows', { ...grpo, options: { ...options, rolloutEpochs: 2 } }],
    ['one row a micro-batch', { ...grpo, options: { ...options, microBatchRows: 1 } }],
    ['a truncated draw', { ...grpo, options: { ...options, topK: 6 } }],
    ['dynamic sampling', { ...grpo, options: { ...options, dynamicSampling: 2 } }],
    ['no check of the first step', { ...grpo, selfCheckTolerance: false }],
  ] satisfies [string, Partial<OnlineRun>][])('%s: all that is learnt and told is the same', async (name, given) => {
    for (const [dtype, digits] of [
      ['float64', 8],
      // Decoder and scorer are some 1e-6 apart here, and AdamW makes more of it from step to step.
      ['float32', 3],
    ] as const) {
      const open = () => tinyPolicy(place('model'), { dtype });
      const later = await train(`later ${name} ${dtype}`, { ...given, policy: await open() });
      const before = await train(`before ${name} ${dtype}`, { ...given, policy: wary(await open()) });
      expect(before.asked.later).toBe(0);
      expect(later.asked.later).toBeGreaterThanOrEqual(4);
      const [steps, expected] = [later, before].map(({ log }) => log.of('step'));
      expected!.forEach((step, at) => {
        const own = steps![at]!;
        expect(Object.keys(own.metrics).toSorted()).toEqual(Object.keys(step.metrics).toSorted());
        for (const [key, value] of Object.entries(step.metrics))
          expect(own.metrics[key], key).toBeCloseTo(value, digits);
        expect(own.gradNorm).toBeCloseTo(step.gradNorm, digits);
      });
      const [rows, others] = [later, before].map(({ log }) => log.of('rollouts').flatMap(({ rows }) => rows));
      others!.forEach(({ logprobs, ids, reward }, at) => {
        expect({ ids: rows![at]!.ids, reward: rows![at]!.reward }).toEqual({ ids, reward });
        expect(rows![at]!.logprobs).toHaveLength(logprobs.length);
        for (const [i, logprob] of logprobs.entries()) expect(rows![at]!.logprobs[i]).toBeCloseTo(logprob, digits);
      });
    }
  });

  const beside = () => tinyPolicy(place('model'), { scalarHead: 'beside' });
  type Given = Omit<Partial<OnlineRun>, 'policy'> & { readonly policy?: () => Promise<Policy> };
  const others: [string, Given][] = [
    ['a temperature', { options: { ...options, temperature: 0.7 } }],
    ['several mini-batches', { options: { ...options, miniBatches: 3 } }],
    ['a penalty in the reward', { options: { ...options, penalty: 'kl' } }],
    ['an occupancy penalty', { options: { ...options, penalty: 'occupancy-chi2' } }],
    [
      'one that is not smooth at the reference',
      { options: { ...options, penalty: 'occupancy-tv', penaltyIn: 'loss' } },
    ],
    ['a penalty in both', { options: { ...options, penalty: 'exact-reverse-kl', penaltyIn: 'both' } }],
    ['a divergence in the loss', { options: { ...options, penalty: 'exact-reverse-kl', penaltyIn: 'loss' } }],
    ['a target', { objective: getObjective('f-dpg') }],
    ['values beside the head', { objective: getObjective('ppo'), policy: beside }],
    ['a policy that decodes otherwise than it scores', { policy: async () => wary(await tinyPolicy(place('model'))) }],
    ['another engine', { engine: stranger }],
  ];
  it.each(others)('not with %s', async (name, { policy, ...given }) => {
    const { asked } = await train(`not ${name}`, { ...given, ...(policy && { policy: await policy() }) });
    expect(asked.later).toBe(0);
  });

  it('the weights are the same bits whether divergences are scored on the way or not', async () => {
    const weights = [];
    for (const divergence of [true, false]) {
      const folder = `divergence ${divergence}`;
      const policy = await tinyPolicy(place('model'));
      const { asked } = await train(folder, { options: { ...options, divergence }, policy });
      expect(asked.later).toBeGreaterThan(0);
      weights.push(readFileSync(`${place(folder)}/model/model.safetensors`));
    }
    expect(weights[0]!.equals(weights[1]!)).toBe(true);
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

  it('where what was drawn cannot be written, the draw that is under way is let go', async () => {
    const policy = await tinyPolicy(place('model'));
    const full = { name: 'full', essential: true, log: () => {} };
    const waiting = { left: 0 };
    const counted = altered(policy, {
      vjp: async (request) => {
        const vjp = await policy.vjp(request);
        waiting.left++;
        return {
          ...vjp,
          release: () => {
            waiting.left--;
            return vjp.release();
          },
        };
      },
    });
    const log = (event: RunEvent) => {
      if (event.type === 'rollouts' && event.step === 2) throw new Error('no space left');
    };
    const failing = train('full', { policy: counted, loggers: [{ ...full, log }], selfCheckTolerance: false });
    await expect(failing).rejects.toThrow('no space left');
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
