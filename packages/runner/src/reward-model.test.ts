import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { encoderOf } from '@kelpie/data';
import { Engine, openTokenizer } from '@kelpie/policy';
import type { Reward, RewardRow } from '@kelpie/rewards';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { asJudged } from './judged.js';
import { rewardModel } from './reward-model.js';

const reviews = fileURLToPath(new URL('../../../datasets/film-reviews', import.meta.url));
const root = mkdtempSync(join(tmpdir(), 'kelpie-reward-model-'));
const folder = join(root, 'model');
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** The base with a fresh head: what it says of a review is arbitrary, and not constant. */
beforeAll(async () => {
  const engine = await Engine.open({
    model: join(reviews, 'base'),
    scalarHead: 'alone',
    scalarHeadSeed: 3,
    threads: 1,
  });
  await engine.save(folder);
  await engine.dispose();
});

const prompt = 'Review of the drama "Broken Orchard" by Hugo Costa:';
const row = (completion: string, rest: Partial<RewardRow> = {}): RewardRow => {
  return { prompt, completion, ids: [], ended: true, meta: {}, ...rest };
};
const rows = [
  row(' The script is superb.'),
  row(' The script is superb.', { ended: false }),
  row(' I hated the lighting, and I liked the acting. It is not worth an evening.'),
  row(' The hero is clever.', { prompt: 'Last night at the cinema:' }),
  row(' The pacing drags.'),
];

async function opened<Result>(use: (reward: Reward) => Promise<Result>, options = {}): Promise<Result> {
  const reward = await rewardModel.open({ path: folder, threads: 1, ...options });
  try {
    return await use(reward);
  } finally {
    await reward.dispose();
  }
}

it('is the value at the last token of the text as its own tokenizer reads it', async () => {
  const { rewards } = await opened((reward) => reward.judge(rows));
  const tokenizer = await openTokenizer(folder);
  const { encode, encodeEnded } = encoderOf(tokenizer);
  const model = await Engine.open({ model: folder, threads: 1 });
  for (const [at, { prompt: before, completion, ended }] of rows.entries()) {
    const ids = (ended ? encodeEnded : encode)(before + completion, false);
    const { tree } = asJudged({ id: '', tree: { trunk: [], branches: [{ ids, scoreFrom: 1 }] } }, tokenizer.padTokenId);
    const { values } = await model.score({ trees: [tree], scores: ['values'] });
    expect(rewards[at]).toBeCloseTo(values![0]!, 5);
  }
  await model.dispose();
  expect(new Set(rewards).size).toBe(rows.length);
});

it('keeps order and values whatever the batch', async () => {
  const [whole, small] = await Promise.all([
    opened((reward) => reward.judge(rows)),
    opened((reward) => reward.judge(rows), { batchSize: 2 }),
  ]);
  for (const at of rows.keys()) expect(small.rewards[at]).toBeCloseTo(whole.rewards[at]!, 5);
});

it('takes a text as long as its context, and names the row of a longer one', async () => {
  const { encodeEnded } = encoderOf(await openTokenizer(folder));
  const room = 128 - encodeEnded(prompt, false).length;
  const fits = row(' superb'.repeat(room));
  const long = row(' superb'.repeat(room + 1), { meta: { id: 'r7' } });
  await opened(async (reward) => {
    expect((await reward.judge([fits])).rewards[0]).toBeTypeOf('number');
    await expect(reward.judge([fits, long])).rejects.toThrow(
      "row 1 (`r7`): expected at most 128 tokens of prompt and completion, the reward model's context, got 129",
    );
  });
});

it('is known by its weights', async () => {
  const one = await opened(async ({ hash }) => hash);
  const other = join(root, 'other');
  const engine = await Engine.open({
    model: join(reviews, 'base'),
    scalarHead: 'alone',
    scalarHeadSeed: 4,
    threads: 1,
  });
  await engine.save(other);
  await engine.dispose();
  expect(one).toHaveLength(64);
  expect(await opened(async ({ hash }) => hash, { path: other })).not.toBe(one);
});

it('refuses what is no reward model', async () => {
  const refused = (path: string, options = {}) =>
    rewardModel.open({ path, ...options }).then(
      () => 'opened',
      (error: Error) => error.message,
    );
  expect(await refused(join(reviews, 'base'))).toMatch(
    /expected a model for sequence classification, got `LlamaForCausalLM`/,
  );
  expect(await refused(join(root, 'nowhere'))).toMatch(
    /reward `reward-model`: `.*nowhere` cannot be opened as a reward model/,
  );
  expect(await refused(join(reviews, 'base'), { adapter: root })).toContain('`scalar-head.safetensors`');
  const headless = join(root, 'headless');
  cpSync(join(reviews, 'base'), headless, { recursive: true });
  const config = JSON.parse(readFileSync(join(headless, 'config.json'), 'utf8')) as object;
  writeFileSync(
    join(headless, 'config.json'),
    JSON.stringify({
      ...config,
      architectures: ['LlamaForSequenceClassification'],
      num_labels: 1,
      id2label: { 0: 'LABEL_0' },
    }),
  );
  expect(await refused(headless)).toContain('`score.weight` [1, 128] is missing');
});
