import { readFileSync } from 'node:fs';
import { dpo, getObjective } from '@kelpie/objectives';
import { Engine, treeOf } from '@kelpie/policy';
import { rowReward } from '@kelpie/rewards';
import { beforeAll, describe, expect, it } from 'vitest';
import { memory } from './loggers/index.js';
import { trainOffline } from './offline.js';
import { type OnlineRun, trainOnline } from './online/loop.js';
import { scratch, tinyOptions, tinyPairs, tinyPolicy } from './testing/tiny.js';

const place = scratch();
const folders = ['one', 'two', 'three'] as const;
/** Three models a few steps apart: soups are of models that began as one. */
beforeAll(async () => {
  for (const [at, name] of folders.entries()) {
    await using policy = await tinyPolicy(place('start'));
    for (let step = 0; step < at; step++) {
      const trees = [treeOf([{ ids: [1, 2, 5 + 6 * at, 6 + step, 0], scoreFrom: 2 }])];
      const { pullback, scores } = await policy.vjp({ trees, scores: ['logprobs'] });
      await pullback({ logprobs: Float64Array.from(scores.completionMask, (bit) => -bit) });
      await policy.step(2e-2);
    }
    await policy.save(place(name));
  }
});
const soup = () => [
  { model: place('two'), weight: 0.5 },
  { model: place('three'), weight: 0.5 },
];
const open = (reference = soup()) => Engine.open({ model: place('one'), reference, threads: 1 });

describe('a soup of models as the reference', () => {
  it('of preference pairs: margins are from it, and the run does not take it for its start', async () => {
    await using policy = await open();
    const log = memory();
    const { result } = {
      result: await trainOffline({
        policy,
        objective: dpo,
        examples: tinyPairs(24),
        heldout: tinyPairs(6, 100),
        options: tinyOptions,
        outFolder: place('offline'),
        loggers: [log],
      }),
    };
    const [check] = log.of('self-check');
    expect(check!.parts.map(({ name }) => name)).toEqual(['batch mates', 'padding', 'tree mates']);
    const [first] = log.of('step');
    expect(Math.abs(first!.loss - Math.LN2)).toBeGreaterThan(1e-4);
    expect(result.metrics['divergence/kl_exact']).toBeGreaterThan(0);
  });

  const prompts = Array.from({ length: 4 }, (_, i) => ({ id: `prompt-${i}`, ids: [1, 2 + i] }));
  const small = rowReward(({ ids }) => Array.from(ids).filter((id) => id < 8).length / Math.max(1, ids.length), {
    name: 'small',
  });
  const online = async (name: string, given: Partial<OnlineRun> = {}) => {
    const policy = given.policy ?? (await open());
    const log = memory();
    const outFolder = place(name);
    const result = await trainOnline({
      policy,
      objective: getObjective('rloo'),
      prompts,
      rewards: [{ reward: small }],
      options: { steps: 6, promptsPerStep: 2, completions: 4, maxNewTokens: 5, learningRate: 1e-2, ...given.options },
      outFolder,
      stop: [0],
      ...(given.signal ? { signal: given.signal } : {}),
      ...(given.resume ? { resume: true } : {}),
      ...(given.loggers && { loggers: [...given.loggers, log] }),
    });
    return { result, log, model: () => readFileSync(`${outFolder}/model/model.safetensors`) };
  };

  it('of rollouts: the penalty pulls to it', async () => {
    const kl = async (name: string, penaltyCoef: number) => {
      const { log } = await online(name, {
        options: { steps: 30, completions: 8, penalty: 'exact-reverse-kl', penaltyIn: 'loss', penaltyCoef },
        loggers: [],
      });
      return log.of('step').map(({ metrics }) => metrics['divergence/kl_exact']!);
    };
    const [pulled, free] = [await kl('pulled', 5), await kl('free', 0)];
    expect(pulled[0]).toBeGreaterThan(0);
    expect(pulled[0]).toBe(free[0]);
    expect(pulled.at(-1)).toBeLessThan(0.5 * pulled[0]!);
    expect(free.at(-1)).toBeGreaterThan(pulled[0]!);
  });

  it('goes on bit for bit where it follows the policy', async () => {
    const options = { syncReferenceEvery: 2, referenceMixture: 0.5, penalty: 'kl', penaltyCoef: 0.1 } as const;
    const whole = await online('whole', { options });
    const still = await online('still', { options: { ...options, syncReferenceEvery: 0 } });
    expect(still.model().equals(whole.model())).toBe(false);
    const stopping = new AbortController();
    const stop = {
      name: 'stop',
      log: (event: { type: string; step?: number }) => {
        if (event.type === 'step' && event.step === 3) stopping.abort();
      },
    };
    await online('stopped', { options, signal: stopping.signal, loggers: [stop] });
    const resumed = await online('stopped', { options, resume: true });
    expect(resumed.result.step).toBe(6);
    expect(resumed.model().equals(whole.model())).toBe(true);
  });
});
