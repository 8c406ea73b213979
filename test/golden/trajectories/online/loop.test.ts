import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Fields } from '../fields.js';
import { summed } from './advantages.js';
import { replayLoop } from './loop.js';
import { rewardMetrics } from './metrics.js';
import { rolloutsOf } from './rows.js';

const root = fileURLToPath(new URL('../../../../', import.meta.url));
const shared = resolve(root, process.env.KELPIE_SHARED ?? '../shared');
const folder = join(shared, 'trajectories');
if (!existsSync(folder)) console.warn(`skipped: no trajectories at ${folder}; set KELPIE_SHARED to the folder above`);

let out: string;
beforeAll(async () => {
  out = await mkdtemp(join(tmpdir(), 'kelpie-loop-'));
});
afterAll(() => rm(out, { recursive: true, force: true }));

const load = (name: string) => JSON.parse(readFileSync(join(folder, `${name}.json`), 'utf8'));
const through = (name: string, json = load(name)) =>
  replayLoop(
    json,
    { file: join(folder, `${name}.json`), folder, models: join(shared, 'models'), dtype: 'float32' },
    join(out, `${name}-${Math.random()}`),
  );

describe.skipIf(!existsSync(folder))('recorded rollouts of TRL, through the online loop', () => {
  test.each(['grpo', 'grpo-kl', 'grpo-dr', 'rloo', 'rloo-iterations'])('%s', async (name) => {
    const comparison = await through(name);
    expect(comparison.passed, comparison.summary).toBe(true);
  });

  test('another scale of the rewards, or weight of the KL, is another run', async () => {
    const grpo = load('grpo');
    grpo.options.scale_rewards = 'none';
    expect((await through('grpo', grpo)).passed).toBe(false);
    const rloo = load('rloo');
    rloo.options.beta = 0.06;
    expect((await through('rloo', rloo)).passed).toBe(false);
  });
});

test('null is a reward that was not given, in no sum and no mean', () => {
  const row = (...rewards: readonly (number | null)[]) =>
    new Fields('a row', { prompt: [1], completion: [2], masked: false, rewards, advantage: 0 });
  const rows = rolloutsOf([row(1, null), row(2, 5), row(6, 9)]);
  const rewards = [0, 1].map((at) => Float64Array.from(rows, (one) => one.rewards[at]!));
  const judged = { rows: 3, tokens: 1, completionMask: new Uint8Array(3).fill(1), groups: new Int32Array(3), rewards };
  expect(rewards[1]).toEqual(Float64Array.of(Number.NaN, 5, 9));
  expect(summed(judged, [1, 2])).toEqual(Float64Array.of(1, 12, 24));
  expect(rewardMetrics(judged, ['a', 'b'])).toMatchObject({ 'rewards/a/mean': 3, 'rewards/b/mean': 7 });
  expect(() => rolloutsOf([row('1' as unknown as number)])).toThrow('expected a list of numbers or null');
});
