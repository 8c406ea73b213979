import { readFileSync } from 'node:fs';
import { getObjective } from '@kelpie/objectives';
import { rowReward } from '@kelpie/rewards';
import { describe, expect, it } from 'vitest';
import type { RolloutRecord } from '../events.js';
import { jsonl, memory, rollouts } from '../loggers/index.js';
import { scratch, tinyPolicy } from '../testing/tiny.js';
import { trainOnline } from './loop.js';
import type { OnlineOptionsInput } from './options.js';
import type { OnlineRun } from './run.js';

const place = scratch();
const prompts = Array.from({ length: 12 }, (_, i) => ({ id: `prompt-${i}`, ids: [1, 2 + i, 7 + (i % 3)] }));
const small = rowReward(({ ids }) => Array.from(ids).filter((id) => id < 8).length / Math.max(1, ids.length), {
  name: 'small',
});
/** Right or wrong: most ids are small. */
const half = rowReward(({ ids }) => (Array.from(ids).filter((id) => id < 8).length > ids.length / 2 ? 1 : 0), {
  name: 'half',
});
/** One reward for most groups: whether any id of the completion is 3. */
const rare = rowReward(({ ids }) => (Array.from(ids).includes(3) ? 1 : 0), { name: 'rare' });

const options: OnlineOptionsInput = {
  steps: 6,
  promptsPerStep: 3,
  completions: 4,
  maxNewTokens: 5,
  learningRate: 1e-2,
  schedule: 'constant',
};

async function train(folder: string, { options: own, ...given }: Partial<OnlineRun> = {}) {
  const log = memory();
  const outFolder = place(folder);
  const result = await trainOnline({
    policy: await tinyPolicy(place('model')),
    objective: getObjective('grpo'),
    prompts,
    rewards: [{ reward: small }],
    options: { ...options, ...own },
    outFolder,
    stop: [0],
    ...given,
    loggers: [...(given.loggers ?? []), log],
  });
  const model = () => readFileSync(`${outFolder}/model/model.safetensors`);
  return { result, log, model, metrics: log.of('step').map(({ metrics }) => metrics) };
}

/** The same bytes whole, and stopped behind step 2 and resumed. */
async function resumes(folder: string, given: Partial<OnlineRun>) {
  const files = (name: string) => {
    const outFolder = place(name);
    return [jsonl(`${outFolder}/metrics.jsonl`), rollouts(`${outFolder}/rollouts.jsonl`)];
  };
  const read = (name: string) =>
    ['metrics.jsonl', 'rollouts.jsonl', 'model/model.safetensors'].map((file) =>
      readFileSync(`${place(name)}/${file}`).toString('base64'),
    );
  await train(`${folder}-whole`, { ...given, loggers: files(`${folder}-whole`) });
  const stopping = new AbortController();
  const stop = {
    name: 'stop',
    log: (event: { type: string; step?: number }) => {
      if (event.type === 'step' && event.step === 2) stopping.abort();
    },
  };
  const name = `${folder}-stopped`;
  await train(name, { ...given, signal: stopping.signal, loggers: [...files(name), stop] });
  await train(name, { ...given, resume: true, loggers: files(name) });
  expect(read(name)).toEqual(read(`${folder}-whole`));
}

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
const rise = (rewards: readonly number[]) => mean(rewards.slice(-4)) - mean(rewards.slice(0, 4));
const rowsOf = ({ log }: { log: ReturnType<typeof memory> }): RolloutRecord[] =>
  log.of('rollouts').flatMap((e) => e.rows);

describe('XPO', () => {
  const objective = getObjective('xpo');

  it('learns from pairs with completions of the reference, and tells only of its own', async () => {
    const run = await train('xpo', { objective, options: { steps: 30, completions: 8 } });
    const rewards = run.metrics.map(({ reward }) => reward!);
    expect(rise(rewards)).toBeGreaterThan(0.15);
    const rows = rowsOf(run).filter(({ step }) => step === 30);
    const of = (by?: string) => rows.filter((row) => row.by === by);
    expect(of('reference')).toHaveLength(of().length);
    expect(rewards.at(-1)).toBeCloseTo(mean(of().map(({ reward }) => reward)), 12);
    const last = run.metrics.at(-1)!;
    expect(last['reference/reward']).toBeCloseTo(mean(of('reference').map(({ reward }) => reward)), 12);
    expect(last['reference/win_rate']).toBeGreaterThan(0.5);
    expect(last['divergence/kl_exact']).toBeGreaterThan(0);
    expect(last['sampler/max_logprob_difference']).toBeLessThan(1e-4);
    // Not the same draws, though both models are one before the first step.
    const firsts = rowsOf(run).filter(({ step }) => step === 1);
    const said = (by?: string) => firsts.filter((row) => row.by === by).map(({ ids }) => ids.join());
    expect(said('reference')).not.toEqual(said());
  });

  it('is resumed bit for bit', () => resumes('xpo', { objective }));

  it('takes even groups, and a reference', async () => {
    await expect(train('odd', { objective, options: { completions: 3 } })).rejects.toThrow(
      'even number of completions',
    );
    await expect(train('none', { objective, reference: false })).rejects.toThrow('reads the reference');
    await expect(train('grpo', { options: { take: 'against-reference' } })).rejects.toThrow('not on pairs');
  });
});

describe('f-DPG', () => {
  const objective = getObjective('f-dpg');

  it.each(['forward-kl', 'reverse-kl', 'js'])('comes to the target along %s', async (divergence) => {
    const { metrics } = await train(`f-dpg-${divergence}`, {
      objective,
      objectiveOptions: { divergence },
      options: { steps: 40, completions: 8, targetBeta: 0.2 },
    });
    expect(rise(metrics.map(({ reward }) => reward!))).toBeGreaterThan(0.12);
  });

  it('goes as far as beta lets it, and no further', async () => {
    const kl = async (targetBeta: number) => {
      const { metrics } = await train(`beta-${targetBeta}`, {
        objective,
        options: { steps: 40, completions: 8, targetBeta },
      });
      return mean(metrics.slice(-8).map((step) => step['divergence/kl_exact']!));
    };
    expect(await kl(5)).toBeLessThan(0.2 * (await kl(0.2)));
  });

  it('is resumed bit for bit', () => resumes('f-dpg', { objective }));

  it('refuses completions that are drawn from a part of the vocabulary', async () => {
    await expect(train('cut', { objective, options: { topK: 4 } })).rejects.toThrow('leave `topK` out');
  });
});

it('Nash-MD learns from how often a completion is preferred to others of its group', async () => {
  const { metrics } = await train('nash-md', {
    objective: getObjective('nash-md'),
    options: { steps: 25, completions: 8 },
  });
  expect(rise(metrics.map(({ reward }) => reward!))).toBeGreaterThan(0.15);
});

describe('on whole groups', () => {
  it.each(['gvpo', 'plackett-luce', 'decoupled-reward', 'asymmetric-po'])('%s learns the rule', async (name) => {
    const sparse = name === 'decoupled-reward' || name === 'asymmetric-po';
    const { metrics } = await train(`groups-${name}`, {
      objective: getObjective(name),
      rewards: [{ reward: sparse ? half : small }],
      options: { steps: 25, completions: 8 },
    });
    expect(rise(metrics.map(({ reward }) => reward!))).toBeGreaterThan(0.15);
  });

  it('takes all of them', async () => {
    const objective = getObjective('gvpo');
    await expect(train('best', { objective, options: { take: 'best' } })).rejects.toThrow('whole groups');
  });
});

describe('on the best of a group', () => {
  it.each(['superhf', 'sft'])('%s learns the rule', async (name) => {
    const { metrics } = await train(`best-${name}`, {
      objective: getObjective(name),
      options: { steps: 25, completions: 8 },
    });
    expect(rise(metrics.map(({ reward }) => reward!))).toBeGreaterThan(0.15);
  });
});

describe('dynamic sampling', () => {
  const objective = getObjective('dapo');
  const rewards = [{ reward: rare }];

  it('gives up groups that teach nothing for those of other prompts', async () => {
    const given = { objective, rewards, options: { steps: 8 } };
    const plain = await train('plain', given);
    const dynamic = await train('dynamic', { ...given, options: { ...given.options, dynamicSampling: 4 } });
    const share = (metrics: readonly Readonly<Record<string, number>>[]) =>
      mean(metrics.map((step) => step.frac_reward_zero_std!));
    expect(share(dynamic.metrics)).toBeLessThan(share(plain.metrics) - 0.1);
    expect(plain.metrics[0]).not.toHaveProperty('dynamic_sampling/rounds');
    for (const step of dynamic.metrics) {
      expect(step['dynamic_sampling/dull_groups']! / 3).toBeCloseTo(step.frac_reward_zero_std!, 12);
      expect(step['dynamic_sampling/rounds']).toBeLessThanOrEqual(4);
      expect(step['dynamic_sampling/redrawn_groups']).toBeGreaterThanOrEqual(step['dynamic_sampling/rounds']!);
    }
    // The first step's policy is the same: what it drew before any group was given up is told.
    expect(dynamic.metrics[0]!['dynamic_sampling/reward_before']).toBe(plain.metrics[0]!.reward);
    const rows = rowsOf(dynamic).filter(({ step }) => step === 1);
    expect(rows).toHaveLength(12);
    expect(rows.map(({ reward }) => reward)).toEqual(rows.map(({ ids }) => (ids.includes(3) ? 1 : 0)));
    const ids = new Set(
      rowsOf(dynamic)
        .filter(({ step }) => step === 1)
        .map(({ promptId }) => promptId),
    );
    expect(ids.size).toBe(3);
  });

  it('learns, and is resumed bit for bit', async () => {
    const { metrics } = await train('dapo', { objective, options: { steps: 25, completions: 8, dynamicSampling: 2 } });
    expect(rise(metrics.map(({ reward }) => reward!))).toBeGreaterThan(0.15);
    await resumes('dynamic', { objective, rewards, options: { dynamicSampling: 3 } });
  });
});

describe('completions from a part of the vocabulary', () => {
  it('learn, with the distance to the policy told and the ratio 1 at first', async () => {
    const cut = await train('cut', { options: { steps: 25, completions: 8, topK: 12, temperature: 1.5 } });
    expect(rise(cut.metrics.map(({ reward }) => reward!))).toBeGreaterThan(0.1);
    for (const step of cut.metrics) expect(step['sampler/truncation_kl']).toBeGreaterThan(0);
    expect(cut.log.of('self-check')[0]).toMatchObject({ passed: true });
    const whole = await train('uncut', { options: { steps: 1 } });
    expect(whole.metrics[0]).not.toHaveProperty('sampler/truncation_kl');
    const kept = await train('kept', { options: { steps: 1, topK: 24, temperature: 1.5 } });
    expect(kept.metrics[0]!['sampler/truncation_kl']).toBeCloseTo(0, 4);
  });

  it('refuses more tokens than there are', async () => {
    await expect(train('many', { options: { topK: 25 } })).rejects.toThrow('the vocabulary has 24 tokens');
  });
});
