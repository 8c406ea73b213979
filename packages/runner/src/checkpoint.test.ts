import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Policy } from '@kelpie/policy';
import { beforeAll, describe, expect, it } from 'vitest';
import { type Checkpoint, findCheckpoint, requireSameConfig, saveCheckpoint } from './checkpoint.js';
import { altered, scratch, tinyPolicy } from './testing/tiny.js';

const place = scratch();
const config = { objective: 'dpo', options: { learningRate: 1e-3, seed: 0 } };
const stateAt = (step: number) => ({ step, config, threads: 1, before: { metrics: { eval_loss: 0.1 }, samples: [] } });
let policy: Policy;
beforeAll(async () => {
  policy = await tinyPolicy(place('model'));
});
const save = (folder: string, step: number, keep = 2) => saveCheckpoint(folder, { policy, state: stateAt(step), keep });

describe('checkpoints', () => {
  it('keep the last ones, and the newest is found', async () => {
    const folder = place('kept');
    mkdirSync(join(folder, '.step-000001.partial-0123456789ab'), { recursive: true });
    for (const step of [1, 2, 3, 1_000_000]) await save(folder, step);
    expect(readdirSync(folder).sort()).toEqual(['step-000003', 'step-1000000']);
    expect(await findCheckpoint(folder)).toMatchObject({ state: stateAt(1_000_000) });
    expect(await findCheckpoint(place('nowhere'))).toBeUndefined();
  });

  it('that are not whole are passed over, and it is said', async () => {
    const folder = place('damaged');
    for (const step of [1, 2, 3, 4]) await save(folder, step, 9);
    rmSync(join(folder, 'step-000004', 'loop.json'));
    writeFileSync(join(folder, 'step-000003', 'policy.safetensors'), 'half');
    const warnings: string[] = [];
    const found = await findCheckpoint(folder, (message) => warnings.push(message));
    expect(found?.state.step).toBe(2);
    expect(warnings).toHaveLength(2);
    expect(warnings[1]).toContain('policy.safetensors is damaged');
  });

  it('are written whole or not at all', async () => {
    const folder = place('half');
    const saveState = (file: string) => {
      writeFileSync(file, 'half');
      return Promise.reject(new Error('disk full'));
    };
    const failing = altered(policy, { saveState });
    await expect(saveCheckpoint(folder, { policy: failing, state: stateAt(1), keep: 2 })).rejects.toThrow('disk full');
    expect(readdirSync(folder)).toEqual([]);
    expect(existsSync(folder)).toBe(true);
  });

  it('of another config are refused, with the keys that differ', async () => {
    const checkpoint = (await findCheckpoint(place('kept'))) as Checkpoint;
    requireSameConfig(checkpoint, { options: { seed: 0, learningRate: 1e-3 }, objective: 'dpo' });
    const other = { objective: 'ipo', options: { learningRate: 1e-3, seed: 1 }, model: 'x' };
    expect(() => requireSameConfig(checkpoint, other)).toThrow(
      [
        'the run cannot go on from its checkpoint, which was made otherwise:',
        '  the weights that it starts from differ',
        '  `objective`: "dpo" in the checkpoint, "ipo" now',
        '  `options.seed`: 0 in the checkpoint, 1 now',
      ].join('\n'),
    );
    const rows = { ...checkpoint, state: { ...checkpoint.state, config: { ...config, examples: 'a', heldout: 'b' } } };
    expect(() => requireSameConfig(rows, { ...config, examples: 'c', heldout: 'd' })).toThrow(
      '  the rows differ\n  the held-out rows differ\n',
    );
  });

  it('of other measurements go on, and of another end where the learning rate is constant', async () => {
    const checkpoint = (await findCheckpoint(place('kept'))) as Checkpoint;
    const made = (options: object) => ({ ...checkpoint, state: { ...checkpoint.state, step: 5, config: { options } } });
    const constant = { schedule: 'constant', evaluateEvery: 1, samplePrompts: 1, sampleTokens: 1, maxSteps: 8 };
    const other = { schedule: 'constant', evaluateEvery: 2, samplePrompts: 0, sampleTokens: 2, maxSteps: 9 };
    requireSameConfig(made(constant), { options: other }, { steps: 9 });
    expect(() => requireSameConfig(made(constant), { options: { ...other, maxSteps: 4 } }, { steps: 4 })).toThrow(
      'the checkpoint is of step 5, behind the end of a run of 4',
    );
    const linear = { ...constant, schedule: 'linear' };
    expect(() => requireSameConfig(made(linear), { options: { ...linear, maxSteps: 9 } })).toThrow(
      '`options.maxSteps`: 8 in the checkpoint, 9 now',
    );
  });
});
