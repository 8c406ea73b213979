import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RewardError } from '../error.js';
import { lastNumber } from '../last-number.js';
import { rowOf } from '../testing/rows.js';
import { testReward } from '../testing/suite.js';
import { ended, exactAnswer, length, lexicon, regularExpression, repetition } from './index.js';

const words = (n: number): string => 'word '.repeat(n).trim();

testReward('length: near a target', () => length.open({ unit: 'words', target: 10 }), [
  [rowOf(words(10)), 0],
  [rowOf(words(4)), -0.6],
  [rowOf(words(25)), -1.5],
  [rowOf(''), -1],
]);

testReward('length: yu2025 eq 13', () => length.open({ limit: 20, buffer: 4 }), [
  [rowOf(words(16)), 0],
  [rowOf(words(17)), -0.25],
  [rowOf(words(20)), -1],
  [rowOf(words(90)), -1],
]);

testReward('length: a limit without buffer', () => length.open({ unit: 'words', limit: 3 }), [
  [rowOf(words(3)), 0],
  [rowOf(words(4)), -1],
]);

testReward('length: as it is, in code points', () => length.open({ unit: 'characters' }), [
  [rowOf('naïve 🌿'), 7],
  [rowOf(''), 0],
]);

testReward(
  'regular expression: whether',
  () => regularExpression.open({ pattern: '^\\s*yes\\b', flags: 'iu', match: 2, miss: -1 }),
  [
    [rowOf('Yes, I do.'), 2],
    [rowOf('Well, yes.'), -1],
  ],
);

testReward('regular expression: how often', () => regularExpression.open({ pattern: 'sea', match: 0.5, most: 3 }), [
  [rowOf('sea seaside sea sea sea'), 1.5],
  [rowOf('sea and sea'), 1],
  [rowOf('land'), 0],
]);

testReward('exact answer: the last number', () => exactAnswer.open({ compare: 'number', wrong: -1 }), [
  [rowOf('2/2=<<2/2=1>>1 bolt, so 2+1=3.\nA: 3', { meta: { answer: 'It takes 2. #### 3' } }), 1],
  [rowOf('It is 1,234.50 dollars.', { meta: { answer: 1234.5 } }), 1],
  [rowOf('The answer is 3.', { meta: { answer: '13' } }), -1],
  [rowOf('It gets to −5', { meta: { answer: -5 } }), 1],
  [rowOf('I do not know', { meta: { answer: '3' } }), -1],
]);

testReward('exact answer: text behind a marker', () => exactAnswer.open({ after: 'Answer:' }), [
  [rowOf('Berlin? Answer: Rome. Answer:  "PARIS"!', { meta: { answer: 'Paris' } }), 1],
  [rowOf('Answer: new   york', { meta: { answer: ['NYC', 'New York'] } }), 1],
  [rowOf('Paris', { meta: { answer: 'Paris' } }), 0],
  [rowOf('Answer: in Paris', { meta: { answer: 'Paris' } }), 0],
]);

testReward('repetition: trigrams', () => repetition.open({ n: 3, penalty: 2 }), [
  [rowOf('a b c d e'), 0],
  [rowOf('So it is so it IS so it is'), (-2 * 4) / 7],
  [rowOf('a a'), 0],
]);

testReward('repetition: of token ids', () => repetition.open({ unit: 'tokens', n: 1 }), [
  [rowOf('whatever', { ids: Int32Array.of(5, 5, 5, 7) }), -0.5],
  [rowOf('whatever', { ids: [1, 12, 2, 112] }), 0],
]);

testReward('ended', () => ended.open({ cut: -1 }), [
  [rowOf('The end.'), 1],
  [rowOf('The', { ended: false }), -1],
]);

describe('lexicon', () => {
  let folder: string;
  const file = (): string => join(folder, 'lexicon.tsv');
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'kelpie-lexicon-'));
    await writeFile(file(), "good\t2\t0.5\t[1, 3]\nbad\t-2.5\ndon't\t-0.5\n:)\t1.5\r\ngood\t1.9\n");
  });
  afterAll(() => rm(folder, { recursive: true }));

  testReward('mean per word', () => lexicon.open({ file: file() }), [
    [rowOf('Good, good-ish; not BAD.'), (1.9 + 1.9 - 2.5) / 5],
    [rowOf('I don’t'), -0.25],
    [rowOf('… 12!'), 0],
    [rowOf(''), 0],
  ]);

  testReward('bounded', () => lexicon.open({ file: file(), score: 'compound' }), [
    [rowOf('good good'), 3.8 / Math.sqrt(3.8 ** 2 + 15)],
    [rowOf('nothing'), 0],
  ]);

  testReward('with what is no word', () => lexicon.open({ file: file(), score: 'sum', words: 'spaced' }), [
    [rowOf('(good) :)'), 3.4],
    [rowOf('goodness bad!'), -2.5],
  ]);

  testReward('with negation', () => lexicon.open({ file: file(), score: 'sum', negation: true }), [
    [rowOf('It was not at all good, bad even'), -0.74 * 1.9 - 2.5],
    [rowOf("It never wasn't good"), 0.74 ** 2 * 1.9],
    [rowOf('Not one of them is good'), 1.9],
  ]);

  it('says which line of the file it cannot read', async () => {
    const broken = join(folder, 'broken.tsv');
    await writeFile(broken, 'good\t1\nbad -2\n');
    await expect(lexicon.open({ file: broken })).rejects.toThrow(
      `${broken}:2: expected a word, a tab and a number, got "bad -2".`,
    );
    await expect(lexicon.open({ file: join(folder, 'none.tsv') })).rejects.toThrow(
      /no lexicon can be read from .*none/,
    );
  });
});

it.each([
  ['1,234,567 and 8', 8],
  ['7-4=3', 3],
  ['10-4', 4],
  ['(-4)', -4],
  ['$-.5', -0.5],
  ['2e3', 2000],
  ['18.', 18],
  ['1,2', 2],
  ['none', undefined],
])('the last number of `%s` is %s', (text, number) => {
  expect(lastNumber(text)).toBe(number);
});

it('names every row without an answer, and none that is merely wrong', async () => {
  const reward = exactAnswer.open({ compare: 'number', field: 'solution' });
  const rows = [
    rowOf('4', { meta: { solution: 5 } }),
    rowOf('4', { meta: { id: 'q7' } }),
    rowOf('4', { meta: { solution: 'four' } }),
  ];
  const error = await reward.judge(rows).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(RewardError);
  expect((error as RewardError).rows.map(({ row, id }) => [row, id])).toEqual([
    [1, 'q7'],
    [2, undefined],
  ]);
  expect((error as RewardError).message).toMatchInlineSnapshot(`
    "reward \`exact-answer\`: 2 of 3 rows not judged:
      row 1 (\`q7\`): \`meta.solution\`: expected text, a number or a list of them, got nothing
      row 2: expected an answer with a number, got "four""
  `);
});

it('stops a pattern that backtracks without end', async () => {
  const reward = regularExpression.open({ pattern: '(a+)+$', timeoutMs: 300 });
  await expect(reward.judge([rowOf('aaa'), rowOf(`${'a'.repeat(40)}!`)])).rejects.toThrow(
    'row 1: no answer within 300 ms',
  );
});

describe('options that are refused', () => {
  it.each([
    [() => length.open({ target: 5, limit: 9 }), 'option `limit`: expected nothing beside `target`, got 9'],
    [() => length.open({ limit: 9, buffer: 10 }), 'option `buffer`: expected at most `limit`, got 10'],
    [() => length.open({ targte: 5 } as never), 'option `targte`: there is none; nearest: target'],
    [() => length.open({ target: -5 }), 'option `target`: Too small: expected number to be >0, got -5'],
    [() => regularExpression.open({ pattern: '(' }), 'option `pattern`: expected a regular expression'],
    [() => regularExpression.open({ pattern: 'a', flags: 'g' }), 'option `flags`: expected some of i, m, s, u, v'],
  ])('%#', (open, message) => {
    expect(open).toThrow(message);
  });
});
