import { readdirSync, readFileSync } from 'node:fs';
import { getObjective } from '@kelpie/objectives';
import type { Policy } from '@kelpie/policy';
import { rowReward } from '@kelpie/rewards';
import { describe, expect, it } from 'vitest';
import { jsonl, memory } from '../loggers/index.js';
import { altered, scratch, tinyPolicy } from '../testing/tiny.js';
import { trainOnline } from './loop.js';
import type { OnlineOptionsInput } from './options.js';
import type { OnlineRun } from './run.js';

const place = scratch();
const prompts = Array.from({ length: 6 }, (_, i) => ({ id: `prompt-${i}`, ids: [1, 2 + (i % 5), 7 + (i % 3)] }));
const share = ({ ids }: { readonly ids: ArrayLike<number> }) =>
  Array.from(ids).filter((id) => id < 8).length / Math.max(1, ids.length);
const small = rowReward(share, { name: 'small' });
const options: OnlineOptionsInput = {
  ...{ steps: 6, promptsPerStep: 3, completions: 4, maxNewTokens: 5, learningRate: 1e-2 },
  ...{ schedule: 'constant' as const, evaluateEvery: 2, penalty: 'kl' as const, controller: 'adaptive' as const },
};
const moving: OnlineOptionsInput = { ...options, syncReferenceEvery: 2, referenceMixture: 0.5 };
const open = () => tinyPolicy(place('model'), { keepReference: 'moving' });

async function train(folder: string, { policy, ...given }: Partial<OnlineRun> = {}) {
  const log = memory();
  const outFolder = place(folder);
  const logs = given.loggers ?? [];
  const files = jsonl(`${outFolder}/metrics.jsonl`);
  const result = await trainOnline({
    policy: policy ?? (await open()),
    objective: getObjective('grpo'),
    prompts,
    heldout: prompts.slice(0, 2),
    rewards: [{ reward: small }],
    options,
    outFolder,
    stop: [0],
    ...given,
    loggers: [files, log, ...logs],
  });
  return { result, log };
}

const results = ['metrics.jsonl', 'model/model.safetensors', 'run.json'];
const expectSame = (folder: string, other: string) => {
  for (const file of results)
    expect(readFileSync(`${place(folder)}/${file}`).equals(readFileSync(`${place(other)}/${file}`)), file).toBe(true);
};
const checkpoints = (folder: string) => readdirSync(`${place(folder)}/checkpoints`);
const warnings = () => {
  const log = memory();
  return { log, messages: () => log.of('warning').map(({ message }) => message) };
};

describe('nothing that was learnt is lost where there fails', () => {
  it.each([
    ['an evaluation', options],
    ['an evaluation before the reference moves', moving],
  ])('%s: it is made again, and the run goes on from there', async (kind, given) => {
    await train(`whole-${kind}`, { options: given });
    let held = 0;
    const steps = warnings();
    const failing = rowReward(
      (row) => {
        if (steps.log.of('step').at(-1)?.step === 4 && held++ === 0) throw new Error('the judge is away');
        return share(row);
      },
      { name: 'small' },
    );
    const broken = train(kind, { options: given, rewards: [{ reward: failing }], loggers: [steps.log] });
    await expect(broken).rejects.toThrow('the judge is away');
    expect(checkpoints(kind)).toEqual(['step-000004']);
    expect(steps.messages()).toEqual([
      'the evaluation behind step 4 failed; step 4 is kept, and a resumed run goes on from it',
    ]);
    await train(kind, { options: given, resume: true });
    expectSame(kind, `whole-${kind}`);
  });

  const withoutDisk = async (methods: readonly ('save' | 'saveState')[]) => {
    const full = () => Promise.reject(new Error('no space left'));
    const policy: Policy = await open();
    return altered(policy, Object.fromEntries(methods.map((method) => [method, full])));
  };

  it('the saving of the model: a resumed run saves it', async () => {
    await train('saved');
    const { log, messages } = warnings();
    const failing = train('unsaved', { policy: await withoutDisk(['save']), loggers: [log] });
    await expect(failing).rejects.toThrow('no space left');
    expect(checkpoints('unsaved')).toEqual(['step-000006']);
    expect(messages()).toEqual(['saving the model failed; step 6 is kept, and a resumed run goes on from it']);
    const { log: resumed } = await train('unsaved', { resume: true });
    expect(resumed.of('step')).toEqual([]);
    expectSame('unsaved', 'saved');
  });

  it('everything that is saved: the first error is told, and that the step is not kept', async () => {
    const { log, messages } = warnings();
    const failing = train('full', { policy: await withoutDisk(['save', 'saveState']), loggers: [log] });
    await expect(failing).rejects.toThrow('no space left');
    expect(messages()).toEqual([
      expect.stringMatching(/^saving the model failed, and step 6 could not be kept either: .*no space left/),
    ]);
  });
});

/** A policy, and how many of its forward passes wait for their cotangents. */
async function counting() {
  const waiting = { begun: 0, left: 0 };
  const policy = await open();
  const counted = altered(policy, {
    vjp: async (request) => {
      const vjp = await policy.vjp(request);
      waiting.begun++;
      waiting.left++;
      let released = false;
      return {
        ...vjp,
        pullback: (given) => vjp.pullback(given),
        release: () => {
          if (!released) waiting.left--;
          released = true;
          return vjp.release();
        },
      };
    },
  });
  return { policy: counted, waiting };
}

describe('no pass is left waiting', () => {
  it('where the check before the first step fails', async () => {
    const { policy, waiting } = await counting();
    const failing = train('checked', { policy, selfCheckTolerance: -1 });
    await expect(failing).rejects.toMatchObject({ code: 'self-check' });
    expect(waiting.begun).toBeGreaterThan(0);
    expect(waiting.left).toBe(0);
  });

  it('where a critic cannot be asked', async () => {
    const { policy, waiting } = await counting();
    const alone = { scalarHead: 'alone', scalarHeadStd: 0, keepReference: false } as const;
    const broken = { score: () => Promise.reject(new Error('no values')) };
    const critic = altered(await tinyPolicy(place('critic'), alone), broken);
    const failing = train('valued', { policy, critic, objective: getObjective('ppo') });
    await expect(failing).rejects.toThrow('no values');
    expect(waiting.left).toBe(0);
  });
});
