import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { NotYet } from './trajectories/fields.js';
import { replay } from './trajectories/replay.js';
import { readTrajectory } from './trajectories/trajectory.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
const shared = resolve(root, process.env.KELPIE_SHARED ?? '../shared');
const folder = join(shared, 'trajectories');
const describeShared = describe.skipIf(!existsSync(folder));
if (!existsSync(folder)) console.warn(`skipped: no trajectories at ${folder}; set KELPIE_SHARED to the folder above`);

const fileOf = (name: string) => join(folder, `${name}.json`);
const load = (name: string) => JSON.parse(readFileSync(fileOf(name), 'utf8'));
const place = (name: string) => ({
  file: fileOf(name),
  folder,
  models: join(shared, 'models'),
  dtype: 'float32' as const,
});

describeShared('recorded runs of TRL', () => {
  test.each(['opt-accumulate-4x1', 'lora-dora', 'dpo-sync-ref', 'kto-weights', 'orpo', 'fdpo-alpha-1.5'])(
    '%s, step by step',
    async (name) => {
      const comparison = await replay(load(name), place(name));
      expect(comparison.passed, comparison.summary).toBe(true);
    },
  );

  test('a slightly other option is another run', async () => {
    const run = load('opt-accumulate-4x1');
    run.options.loss_weights = [1, 1.01];
    run.steps.length = 4;
    expect((await replay(run, place('opt-accumulate-4x1'))).passed).toBe(false);
  });
});

/** The least of a run that is understood. */
const run = () => ({
  format: 'trajectory/1',
  algorithm: 'sft',
  model: 'none',
  options: { completion_only_loss: null, loss_type: 'nll', packing: false, max_length: null } as Record<
    string,
    unknown
  >,
  optimizer: {
    name: 'adamw',
    learning_rate: 0.1,
    betas: [0.9, 0.999],
    eps: 1e-8,
    weight_decay: 0.1,
    max_grad_norm: 0,
    schedule: 'constant',
    warmup_steps: 2,
    steps: 1,
    groups: [{ weight_decay: 0.1, parameters: ['a'] }],
  } as Record<string, unknown>,
  batch: { rows_per_step: 2, rows_per_micro_batch: 1, accumulation: 2 },
  adapter: null as unknown,
  rows: [{ prompt: [], completion: [1, 2, 3] }],
  steps: [{ batches: [[0]], loss: 1, grad_norm: 1, learning_rate: 0.1, metrics: { entropy: 1 } }],
  final: { a: { shape: [1], norm: 1, sum: 1, at: [0], values: [1] } },
  float32: { loss: 1e-6 },
});

describe('reading a recorded run', () => {
  test('an empty prompt leaves the first token out; constant has no warm-up', () => {
    const { examples, schedule } = readTrajectory(run());
    expect(examples[0]!.tree).toEqual({ trunk: [], branches: [{ ids: [1, 2, 3], scoreFrom: 1 }] });
    expect(schedule.warmupSteps).toBe(0);
  });

  test('what is known and not written waits, by name', () => {
    const options = (changes: object) => ({ ...run(), options: { ...run().options, ...changes } });
    const messages = [
      options({ packing: true }),
      { ...run(), optimizer: { ...run().optimizer, schedule: 'polynomial' } },
    ].map((json) => {
      try {
        return readTrajectory(json);
      } catch (error) {
        return error instanceof NotYet ? error.message : error;
      }
    });
    expect(messages).toEqual(['packing does not exist yet', 'schedule polynomial does not exist yet']);
  });

  test('what is not known at all is an error', () => {
    const messageOf = (json: unknown) => {
      try {
        readTrajectory(json);
        return undefined;
      } catch (error) {
        return error instanceof NotYet ? error : (error as Error).message;
      }
    };
    expect(messageOf({ ...run(), options: { ...run().options, shuffle: 3 } })).toBe(
      'the file, options: the replay does not know `shuffle` (3)',
    );
    expect(messageOf({ ...run(), optimizer: { ...run().optimizer, nesterov: true } })).toBe(
      'the file, optimizer: the replay does not know `nesterov` (true)',
    );
    expect(messageOf({ ...run(), head: 'x' })).toBe('the file: the replay does not know `head` ("x")');
    expect(messageOf({ ...run(), algorithm: 'other' })).toBe('the replay does not know the algorithm `other`');
    expect(messageOf({ ...run(), options: { ...run().options, max_length: 2 } })).toBe(
      'rows[0] has 3 ids, max_length is 2',
    );
    expect(messageOf({ ...run(), rows: [] })).toBe('steps[0]: [[0]] are no batches of the rows');
  });
});
