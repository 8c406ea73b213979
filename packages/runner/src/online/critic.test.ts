import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { getObjective } from '@kelpie/objectives';
import { Engine, type Policy } from '@kelpie/policy';
import { rowReward } from '@kelpie/rewards';
import { describe, expect, it, test } from 'vitest';
import { jsonl, memory, rollouts } from '../loggers/index.js';
import { scratch, tinyPolicy } from '../testing/tiny.js';
import { advantagesOf, judgedMask } from './advantages.js';
import { valueMetrics } from './critic.js';
import { trainOnline } from './loop.js';
import type { OnlineOptionsInput } from './options.js';
import type { OnlineRun } from './run.js';

const place = scratch();

const prompts = Array.from({ length: 6 }, (_, i) => ({ id: `prompt-${i}`, ids: [1, 2 + (i % 5), 7 + (i % 3)] }));
const small = rowReward(({ ids }) => Array.from(ids).filter((id) => id < 8).length / Math.max(1, ids.length), {
  name: 'small',
});
const options: OnlineOptionsInput = {
  steps: 6,
  promptsPerStep: 3,
  completions: 4,
  maxNewTokens: 5,
  learningRate: 1e-2,
  schedule: 'constant',
};

const withHead = () => tinyPolicy(place('model'), { scalarHead: 'beside' });
const criticModel = () => tinyPolicy(place('critic'), { scalarHead: 'alone', scalarHeadStd: 0, keepReference: false });

type Given = Partial<Omit<OnlineRun, 'policy' | 'critic'>> & { readonly policy?: Policy; readonly critic?: Policy };

async function train(folder: string, given: Given = {}) {
  const log = memory();
  const outFolder = place(folder);
  const { loggers = [], ...rest } = given;
  const result = await trainOnline({
    objective: getObjective('ppo'),
    prompts,
    rewards: [{ reward: small }],
    options,
    outFolder,
    stop: [0],
    ...rest,
    policy: given.policy ?? (await withHead()),
    loggers: [...loggers, log],
  });
  return { result, log, outFolder };
}

const rises = (log: ReturnType<typeof memory>) => {
  const rewards = log.of('step').map(({ metrics }) => metrics.reward!);
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  return mean(rewards.slice(-4)) - mean(rewards.slice(0, 4));
};

describe.each(['beside', 'apart'] as const)('PPO with a critic %s', (kind) => {
  const run = async (folder: string, given: Given = {}) =>
    train(
      `${kind}-${folder}`,
      kind === 'beside' ? given : { ...given, policy: await tinyPolicy(place('model')), critic: await criticModel() },
    );

  it('learns the rule, and values come nearer to the returns', async () => {
    const objectiveOptions = { valueCoef: 1, valueClipRange: 0 };
    const long = { ...options, steps: 20, completions: 8, rolloutEpochs: 2, miniBatches: 3, divergence: false };
    const { log, outFolder } = await run('rises', { objectiveOptions, options: { ...long, criticLearningRate: 5e-3 } });
    expect(rises(log)).toBeGreaterThan(0.15);
    const steps = log.of('step').map(({ metrics }) => metrics);
    const [first] = steps;
    expect(first!['values/mean']).toBeCloseTo(0, 12);
    expect(first!.explained_variance).toBeCloseTo(0, 12);
    expect(steps.at(-1)!['loss/value_avg']).toBeLessThan(0.5 * first!['loss/value_avg']!);
    expect(readdirSync(outFolder).includes('critic')).toBe(kind === 'apart');
    await using saved = await Engine.open({ model: `${outFolder}/model`, threads: 1 });
    expect(saved.info.scalarHead).toBeUndefined();
  });

  it('begins with ratio 1, its own values, and nothing clipped', async () => {
    const { log } = await run('checked', { options: { ...options, steps: 1 } });
    const [check] = log.of('self-check');
    expect(check).toMatchObject({ passed: true });
    const names = check!.parts.map(({ name }) => name);
    const own = kind === 'beside' ? ['values'] : [];
    expect(names).toEqual(['ratio', ...own, 'kl', 'clip fraction', 'reward place']);
    const { metrics } = log.of('step')[0]!;
    expect(metrics['val/ratio']).toBeCloseTo(1, 5);
    expect(metrics['policy/approxkl_avg']).toBeCloseTo(0, 9);
    expect(metrics['policy/clipfrac_avg']).toBe(0);
    if (kind === 'beside') expect(metrics['val/clipfrac_avg']).toBe(0);
  });

  it('writes the same bytes twice, and when stopped and resumed', async () => {
    const paced = { ...options, rolloutEpochs: 2, miniBatches: 2, penalty: 'kl', controller: 'adaptive' } as const;
    const files = [
      ...(['metrics.jsonl', 'rollouts.jsonl', 'model/model.safetensors', 'run.json'] as const),
      ...(kind === 'apart' ? ['critic/model.safetensors'] : []),
    ];
    const logged = (folder: string) => {
      const outFolder = place(`${kind}-${folder}`);
      return [jsonl(`${outFolder}/metrics.jsonl`), rollouts(`${outFolder}/rollouts.jsonl`)];
    };
    const whole = await run('whole', { options: paced, loggers: logged('whole') });
    for (const k of [1, 4]) {
      const stopping = new AbortController();
      const stop = {
        name: 'stop',
        log: (event: { type: string; step?: number }) => {
          if (event.type === 'step' && event.step === k) stopping.abort();
        },
      };
      const name = `stopped-${k}`;
      const loggers = [...logged(name), stop];
      const stopped = await run(name, { options: paced, signal: stopping.signal, loggers });
      expect(stopped.result).toMatchObject({ stopped: true, step: k });
      const step = `${stopped.outFolder}/checkpoints/step-${String(k).padStart(6, '0')}`;
      expect(existsSync(`${step}/critic.safetensors`)).toBe(kind === 'apart');
      const resumed = await run(name, { options: paced, resume: true, loggers: logged(name) });
      for (const file of files) {
        const [a, b] = [whole, resumed].map(({ outFolder }) => readFileSync(`${outFolder}/${file}`));
        expect(b!.equals(a!), `${file} after ${k}`).toBe(true);
      }
    }
  });
});

it('a critic foretells the returns of a policy that stands still', async () => {
  const { log } = await train('still', {
    policy: await tinyPolicy(place('model')),
    critic: await criticModel(),
    objectiveOptions: { valueClipRange: 0 },
    options: {
      ...options,
      ...{ steps: 24, promptsPerStep: 6, completions: 16, gaeLambda: 1, divergence: false },
      ...{ learningRate: 1e-12, criticLearningRate: 1e-2, miniBatches: 3 },
    },
  });
  const explained = log.of('step').map(({ metrics }) => metrics.explained_variance!);
  expect(explained[0]).toBeCloseTo(0, 12);
  expect(explained.at(-1)).toBeGreaterThan(0.2);
});

it('a critic apart serves an objective without values', async () => {
  const { log } = await train('reinforce', {
    objective: getObjective('reinforce'),
    policy: await tinyPolicy(place('model')),
    critic: await criticModel(),
    options: { ...options, steps: 25, completions: 8, divergence: false },
  });
  expect(rises(log)).toBeGreaterThan(0.15);
});

it('refuses a run whose values nobody gives, fits or asks for', async () => {
  const refused = (given: Given) => expect(train('refused', given)).rejects;
  const plain = await tinyPolicy(place('model'));
  const critic = await criticModel();
  await refused({ policy: plain }).toThrow("open the policy with `scalarHead: 'beside'`");
  await refused({ policy: plain, objective: getObjective('grpo'), options: { ...options, advantage: 'gae' } }).toThrow(
    'or give a `critic`',
  );
  await refused({ objective: getObjective('grpo'), options: { ...options, advantage: 'gae' } }).toThrow(
    '`grpo` fits none',
  );
  await refused({ options: { ...options, advantage: 'group-std' } }).toThrow('come of `gae` alone');
  await refused({ policy: plain, critic, options: { ...options, advantage: 'group-std' } }).toThrow(
    'only the advantage',
  );
  await refused({ policy: plain, critic, objective: getObjective('sft') }).toThrow('reads no advantages');
  await refused({ policy: plain, critic: await withHead() }).toThrow('one beside its language head');
});

const grid = { rows: 2, tokens: 3, completionMask: Uint8Array.of(1, 1, 1, 1, 1, 0) };
const judgement = {
  ...grid,
  rewards: Float64Array.of(1, Number.NaN),
  tokenRewards: Float64Array.of(0, -0.5, 1, 0, 0, 0),
  parts: [],
  weights: [],
  groups: Int32Array.of(0, 0),
  values: Float64Array.of(0.2, 0.4, 0.6, 3, 5, 0),
};

test('gae by hand, and nothing to learn from what nobody judged', () => {
  const { advantages, returns } = advantagesOf('gae', judgement, { gamma: 1, gaeLambda: 0.5, whiten: false });
  const [d0, d1, d2] = [0.4 - 0.2, -0.5 + 0.6 - 0.4, 1 - 0.6];
  const expected = [d0 + 0.5 * (d1 + 0.5 * d2), d1 + 0.5 * d2, d2];
  expected.forEach((value, at) => {
    expect(advantages[at]).toBeCloseTo(value, 12);
    expect(returns![at]).toBeCloseTo(value + judgement.values[at]!, 12);
  });
  expect([...advantages.slice(3)]).toEqual([0, 0, 0]);
  expect([...returns!.slice(3)]).toEqual([3, 5, 0]);
});

test('whitening is over judged tokens alone', () => {
  const { advantages } = advantagesOf('gae', judgement, { gamma: 1, gaeLambda: 1, whiten: true });
  expect(advantages.slice(0, 3).reduce((sum, value) => sum + value, 0)).toBeCloseTo(0, 12);
  expect([...advantages.slice(3)]).toEqual([0, 0, 0]);
});

test('explained variance: 1 foretold, 0 for a constant, absent where returns do not vary', () => {
  const completionMask = judgedMask(judgement);
  const returns = Float64Array.of(1, 2, 4, 100, 100, 0);
  const of = (values: Float64Array) => valueMetrics({ completionMask }, { values, returns }).explained_variance;
  expect(of(returns)).toBe(1);
  expect(of(new Float64Array(6).fill(7))).toBeCloseTo(0, 12);
  expect(of(Float64Array.of(4, 2, 1, 0, 0, 0))).toBeLessThan(0);
  const still = { values: returns, returns: new Float64Array(6) };
  expect(valueMetrics({ completionMask }, still)).not.toHaveProperty('explained_variance');
});
