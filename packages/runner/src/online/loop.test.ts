import { readFileSync } from 'node:fs';
import { getObjective } from '@kelpie/objectives';
import { rowReward } from '@kelpie/rewards';
import { describe, expect, it } from 'vitest';
import type { RolloutRecord } from '../events.js';
import { jsonl, memory, rollouts } from '../loggers/index.js';
import { altered, scratch, tinyPolicy } from '../testing/tiny.js';
import { trainOnline } from './loop.js';
import type { OnlineOptionsInput } from './options.js';
import { penaltyNames } from './penalties.js';
import type { OnlineRun } from './run.js';

const place = scratch();

const prompts = Array.from({ length: 6 }, (_, i) => ({ id: `prompt-${i}`, ids: [1, 2 + (i % 5), 7 + (i % 3)] }));
const small = rowReward(({ ids }) => Array.from(ids).filter((id) => id < 8).length / Math.max(1, ids.length), {
  name: 'small',
});
const length = rowReward(({ ids }) => ids.length, { name: 'length' });

const options: OnlineOptionsInput = {
  steps: 6,
  promptsPerStep: 3,
  completions: 4,
  maxNewTokens: 5,
  learningRate: 1e-2,
  schedule: 'constant',
  evaluateEvery: 3,
};

async function train(folder: string, { policy, ...given }: Partial<OnlineRun> = {}) {
  const log = memory();
  const outFolder = place(folder);
  const opened = policy ?? (await tinyPolicy(place('model')));
  const result = await trainOnline({
    policy: opened,
    objective: getObjective('grpo'),
    prompts,
    heldout: prompts.slice(0, 2),
    rewards: [{ reward: small }],
    watched: [length],
    options,
    outFolder,
    stop: [0],
    ...given,
    ...(given.loggers && { loggers: [...given.loggers, log] }),
  });
  const read = (file: string) => readFileSync(`${outFolder}/${file}`);
  return { result, log, read };
}

const lines = <T>(text: Buffer) =>
  text
    .toString()
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as T);

describe('an online run', () => {
  it('raises a reward that is a rule', async () => {
    const { result, read } = await train('rises', {
      options: { ...options, steps: 40, evaluateEvery: 0, completions: 8 },
    });
    expect(result).toMatchObject({ step: 40, stopped: false });
    const { before, after } = result.verdict!.reward!;
    const steps = lines<{ step: number; reward?: number; 'divergence/kl_exact'?: number }>(read('metrics.jsonl'));
    const rewards = steps.flatMap(({ reward }) => (reward === undefined ? [] : [reward]));
    expect(rewards.at(-1)! - rewards[0]!).toBeGreaterThan(0.4);
    expect(after).toBeGreaterThan(Math.max(before, 0.9));
    expect(result.metrics['divergence/kl_exact']).toBeGreaterThan(0.5);
  });

  it('keeps every completion with what was made of it', async () => {
    const { read } = await train('kept');
    const rows = lines<RolloutRecord>(read('rollouts.jsonl'));
    expect(rows).toHaveLength(6 * 3 * 4);
    for (const row of rows) {
      expect(row.logprobs).toHaveLength(row.ids.length);
      expect(row.referenceLogprobs).toHaveLength(row.ids.length);
      expect(row.reward).toBe(row.rewards.small);
      expect(row.watched.length).toBe(row.ids.length);
      expect(row.ended).toBe(row.ids.at(-1) === 0);
      expect(row.completion).toBe((row.ended ? row.ids.slice(0, -1) : row.ids).join(' '));
    }
    const [first] = lines<Record<string, number>>(read('metrics.jsonl')).filter(
      ({ step, reward }) => step === 1 && reward !== undefined,
    );
    const ofFirst = rows.filter(({ step }) => step === 1);
    expect(first!.reward).toBeCloseTo(ofFirst.reduce((sum, { reward }) => sum + reward, 0) / ofFirst.length, 12);
    expect(first!['divergence/kl_exact']).toBeCloseTo(0, 9);
    expect(first!['divergence/chi2']).toBeCloseTo(0, 9);
    expect(first!['sampler/max_logprob_difference']).toBeLessThan(1e-4);
  });

  it('begins with ratio 1, KL 0 and nothing clipped', async () => {
    const log = memory();
    await train('checked', { loggers: [log], options: { ...options, steps: 1 } });
    const [check] = log.of('self-check');
    expect(check).toMatchObject({ passed: true });
    expect(check!.parts.map(({ name }) => name)).toEqual(['ratio', 'kl', 'clip fraction', 'reward place']);
  });

  it('stops at a check that fails', async () => {
    const policy = await tinyPolicy(place('model'));
    const off = altered(policy, {
      score: async (request) => {
        const scores = await policy.score(request);
        return { ...scores, logprobs: scores.logprobs!.map((value) => value + 1e-3) };
      },
    });
    await expect(train('off', { policy: off })).rejects.toMatchObject({ code: 'self-check' });
  });

  it('goes on from the pass that scored, and learns what separate passes would', async () => {
    const policy = await tinyPolicy(place('model'));
    const calls = { score: 0, vjp: 0, pull: 0 };
    const counted = altered(policy, {
      score: (request) => {
        calls.score++;
        return policy.score(request);
      },
      vjp: (request) => {
        calls.vjp++;
        return policy.vjp(request);
      },
      pull: (request) => {
        calls.pull++;
        return policy.pull(request);
      },
    });
    const once = { options: { ...options, steps: 1 }, heldout: [], selfCheckTolerance: false as const };
    const { read } = await train('one-pass', { ...once, policy: counted });
    expect(calls).toEqual({ score: 0, vjp: 1, pull: 0 });
    const apart = await train('passes', { ...once, options: { ...once.options, microBatchRows: 1 } });
    const [one, many] = [read, apart.read].map((file) => lines<Record<string, number>>(file('metrics.jsonl'))[0]!);
    for (const key of ['loss', 'grad_norm', 'divergence/kl_exact', 'entropy']) {
      expect(one![key], key).toBeCloseTo(many![key]!, 4);
    }
  });

  it.each([1, 2])(
    'writes the same bytes twice, and when stopped and resumed, by %d mini-batches',
    async (miniBatches) => {
      const paced = {
        ...options,
        rolloutEpochs: 2,
        miniBatches,
        penalty: 'kl',
        controller: 'adaptive',
        penaltyTarget: 0.1,
        penaltyHorizon: 20,
      } as const;
      const whole = await train(`whole-${miniBatches}`, { options: paced });
      const again = await train(`again-${miniBatches}`, { options: paced });
      const files = ['metrics.jsonl', 'rollouts.jsonl', 'model/model.safetensors', 'run.json'];
      for (const file of files) expect(again.read(file).equals(whole.read(file)), file).toBe(true);
      const coefficients = lines<Record<string, number>>(whole.read('metrics.jsonl')).flatMap(
        (line) => line['penalty/coefficient'] ?? [],
      );
      expect(new Set(coefficients).size).toBe(6);
      for (const k of [1, 4]) {
        const stopping = new AbortController();
        const stop = {
          name: 'stop',
          log: (event: { type: string; step?: number }) => {
            if (event.type === 'step' && event.step === k) stopping.abort();
          },
        };
        const outFolder = place(`stopped-${miniBatches}-${k}`);
        const loggers = [jsonl(`${outFolder}/metrics.jsonl`), rollouts(`${outFolder}/rollouts.jsonl`), stop];
        const stopped = await train(`stopped-${miniBatches}-${k}`, {
          options: paced,
          signal: stopping.signal,
          loggers,
        });
        expect(stopped.result).toMatchObject({ stopped: true, step: k });
        const resumed = await train(`stopped-${miniBatches}-${k}`, { options: paced, resume: true });
        for (const file of files) expect(resumed.read(file).equals(whole.read(file)), `${file} after ${k}`).toBe(true);
      }
    },
  );

  it('ends where a budget ends', async () => {
    const far = await train('far', { options: { ...options, steps: 40, learningRate: 5e-2, maxDivergence: 0.2 } });
    expect(far.result.early).toBe('divergence');
    expect(far.result.step).toBeLessThan(40);
    const late = await train('late', { options: { ...options, steps: 40, maxMinutes: 1e-6 } });
    expect(late.result).toMatchObject({ early: 'time', step: 1, stopped: false });
    const last = await train('last', { options: { ...options, steps: 1, maxMinutes: 1e-6 } });
    expect(last.result).toMatchObject({ step: 1, stopped: false });
    expect(last.result.early).toBeUndefined();
  });

  it('goes on behind a budget with a larger one, as if it had never ended, and ends at once with the same', async () => {
    const paced = { ...options, evaluateEvery: 1, penalty: 'kl', controller: 'adaptive' } as const;
    const whole = await train('unbounded', { options: paced });
    const bounded = { ...paced, maxMinutes: 1e-6 };
    const ended = await train('bounded', { options: bounded });
    expect(ended.result).toMatchObject({ early: 'time', step: 1 });
    const files = ['metrics.jsonl', 'rollouts.jsonl', 'model/model.safetensors', 'run.json'];
    const before = files.map(ended.read);
    const again = await train('bounded', { options: bounded, resume: true });
    expect(again.result).toMatchObject({ early: 'time', step: 1 });
    for (const [at, bytes] of before.entries()) expect(again.read(files[at]!).equals(bytes), files[at]).toBe(true);
    const longer = await train('bounded', { options: paced, resume: true });
    expect(longer.result).toMatchObject({ step: 6, stopped: false });
    for (const file of files) expect(longer.read(file).equals(whole.read(file)), file).toBe(true);
  });

  it('is made longer by more steps, as if it had been so long from the start', async () => {
    const paced = { ...options, saveEvery: 4 };
    const whole = await train('long', { options: { ...paced, steps: 8 } });
    await train('longer', { options: paced });
    const { read } = await train('longer', { options: { ...paced, steps: 8 }, resume: true });
    for (const file of ['metrics.jsonl', 'rollouts.jsonl', 'model/model.safetensors', 'run.json'])
      expect(read(file).equals(whole.read(file)), file).toBe(true);
    await expect(train('longer', { options: { ...paced, steps: 3 }, resume: true })).rejects.toMatchObject({
      message: expect.stringContaining('is of step 4, behind the end of a run of 3'),
      where: { key: 'options.steps' },
    });
  });

  const objectives = ['dr-grpo', 'dapo', 'gspo', 'rloo', 'reinforce', 'cispo', 'dpo', 'ipo', 'sft'];
  it.each(objectives)('%s learns the rule', async (name) => {
    const { log } = await train(`objective-${name}`, {
      objective: getObjective(name),
      objectiveOptions: name === 'dr-grpo' ? { tokenBudget: 5 } : {},
      options: { ...options, steps: 25, completions: 8, evaluateEvery: 0, divergence: false },
      heldout: [],
      loggers: [],
    });
    const rewards = log.of('step').map(({ metrics }) => metrics.reward!);
    const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
    expect(mean(rewards.slice(-4)) - mean(rewards.slice(0, 4))).toBeGreaterThan(0.15);
  });

  const held = penaltyNames.filter((penalty) => penalty !== 'none');
  const penalties = [
    ...held.map((penalty) => ({ penalty, penaltyIn: 'loss' as const })),
    ...held
      .filter((penalty) => !/^(pathwise|exact)/.test(penalty))
      .map((penalty) => ({ penalty, penaltyIn: 'reward' as const })),
    ...(['exact-reverse-kl', 'exact-jsd', 'exact-total-variation'] as const).map((penalty) => ({
      penalty,
      penaltyIn: 'both' as const,
    })),
  ];
  const reached = async (name: string, given: OnlineOptionsInput) => {
    const { log } = await train(name, {
      objective: getObjective('rloo'),
      options: { ...options, steps: 10, completions: 8, evaluateEvery: 0, rolloutEpochs: 2, ...given },
      heldout: [],
      loggers: [],
    });
    return log.of('step').at(-1)!.metrics['divergence/kl_exact']!;
  };
  let free: Promise<number> | undefined;
  it.each(penalties)('$penalty in the $penaltyIn holds the policy', async ({ penalty, penaltyIn }) => {
    free ??= reached('free', {});
    const held = await reached(`${penalty}-${penaltyIn}`, { penalty, penaltyIn, penaltyCoef: 2 });
    expect(held).toBeLessThan(0.5 * (await free));
  });

  it('refuses what would do something else than it says', async () => {
    const refused = (given: Partial<OnlineRun>) => expect(train('refused', given)).rejects;
    await refused({ options: { ...options, penalty: 'pathwise-chi2' } }).toThrow('is a loss');
    await refused({ options: { ...options, penalty: 'exact-js' } }).toThrow('`loss` or `both`');
    await refused({ options: { ...options, penalty: 'kl', penaltyIn: 'both' } }).toThrow('only an `exact-...`');
    await refused({ objective: getObjective('dpo'), options: { ...options, penalty: 'kl' } }).toThrow(
      'reads no advantages',
    );
    await refused({ rewards: [] }).toThrow('no reward');
    await refused({ watched: [small] }).toThrow('two rewards are called `small`');
    await refused({ prompts: [{ id: 'none', ids: [] }] }).toThrow('0 tokens');
    await refused({ objective: getObjective('kto') }).toThrow('unpaired');
    await refused({ reference: false, options: { ...options, penalty: 'kl' } }).toThrow('reads the reference');
  });
});
