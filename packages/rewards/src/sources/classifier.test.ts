import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { writeClassifier } from '../testing/classifier-folder.js';
import { rowOf } from '../testing/rows.js';
import { testReward } from '../testing/suite.js';
import { classifier } from './classifier.js';

let folder: string;
const at = (name: string): string => join(folder, name);
const words = { good: [-1, 2, 0], fine: [0, 1, 0.5], bad: [3, -1, 0] };
const labels = ['negative', 'positive', 'neutral'];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kelpie-classifier-'));
  await writeClassifier(at('three'), { labels, words });
  await writeClassifier(at('each'), { labels, words, config: { problem_type: 'multi_label_classification' } });
  await writeClassifier(at('short'), { labels, words, maxLength: 3 });
  await writeClassifier(at('scalar'), { labels: ['LABEL_0'], words: { good: [2], bad: [-1] } });
});
afterAll(() => rm(folder, { recursive: true }));

testReward('logit', () => classifier.open({ model: at('three'), label: 'positive', score: 'logit', batchSize: 2 }), [
  [rowOf('good good bad'), 3],
  [rowOf('fine'), 1],
  [rowOf('unheard of'), 0],
  [rowOf('Good, I say: not bad'), 1],
]);

const softmax = (logits: readonly number[], column: number): number =>
  Math.exp(logits[column]!) / logits.reduce((sum, logit) => sum + Math.exp(logit), 0);

testReward('probability among the labels', () => classifier.open({ model: at('three'), label: 'negative' }), [
  [rowOf('bad'), softmax([3, -1, 0], 0)],
  [rowOf('good fine good bad'), softmax([1, 4, 0.5], 0)],
  [rowOf('bad '.repeat(300)), 1],
]);

testReward('probability of a label by itself', () => classifier.open({ model: at('each'), label: 'positive' }), [
  [rowOf('good'), 1 / (1 + Math.exp(-2))],
  [rowOf('bad bad'), 1 / (1 + Math.exp(2))],
]);

testReward(
  'a reward model with one label, prompt and completion',
  () => classifier.open({ model: at('scalar'), label: 'LABEL_0', score: 'logit', text: 'prompt-and-completion' }),
  [
    [rowOf(' good', { prompt: 'bad' }), 1],
    [rowOf(' bad', { prompt: 'bad' }), -2],
  ],
);

it('names the rows that are too long for the model, unless they may be cut', async () => {
  const rows = [rowOf('good'), rowOf('good good good bad', { meta: { id: 'r1' } })];
  const strict = await classifier.open({ model: at('short'), label: 'positive', score: 'logit' });
  await expect(strict.judge(rows)).rejects.toThrow('row 1 (`r1`): expected at most 3 tokens, got 4');
  const cut = await classifier.open({ model: at('short'), label: 'positive', score: 'logit', tooLong: 'cut' });
  expect([...(await cut.judge(rows)).rewards]).toEqual([2, 6]);
});

it.each([
  [
    'a label that it lacks',
    () => ({ model: at('three'), label: 'joy' }),
    /no label `joy`; it has `negative`, `positive`, `neutral`/,
  ],
  ['a name of the hub', () => ({ model: 'someone/some-model', label: 'x' }), /option `model`: expected a folder/],
  ['an empty folder', () => ({ model: folder, label: 'x' }), /cannot be opened as a classifier/],
])('refuses %s', async (_, options, message) => {
  await expect(classifier.open(options())).rejects.toThrow(message);
});
