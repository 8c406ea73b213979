import { expect, it } from 'vitest';
import { asReward, batchReward, rowReward } from './function.js';
import { leaf } from './reward.js';
import { rowOf } from './testing/rows.js';
import { testReward } from './testing/suite.js';

const rows = ['one', 'two', 'three', 'four'].map((text, at) => rowOf(text, { meta: { id: `r${at}` } }));
const never = () => new Promise<number>(() => {});

testReward('a function of a row', () => rowReward(({ completion }) => completion.length, { name: 'letters' }), [
  [rows[0]!, 3],
  [rows[2]!, 5],
]);

testReward(
  'a slow function of a row, out of turn',
  () =>
    rowReward(
      async ({ completion }) => {
        await new Promise((resolve) => setTimeout(resolve, 20 - 4 * completion.length));
        return completion.length;
      },
      { name: 'letters', concurrency: 3 },
    ),
  rows.map((row) => [row, row.completion.length] as const),
);

testReward('a function of all rows', () => batchReward((all) => all.map(({ meta }) => Number(meta.n)), { name: 'n' }), [
  [rowOf('a', { meta: { n: 4 } }), 4],
  [rowOf('b', { meta: { n: -1 } }), -1],
]);

it('names every row on which a function throws', async () => {
  const reward = rowReward(
    ({ completion }) => {
      if (completion.startsWith('t')) throw new Error(`no ${completion}`);
      return 1;
    },
    { name: 'mine' },
  );
  await expect(reward.judge(rows)).rejects.toMatchObject({
    code: 'reward-failed',
    message: 'reward `mine`: 2 of 4 rows not judged:\n  row 1 (`r1`): no two\n  row 2 (`r2`): no three',
    rows: [
      { row: 1, id: 'r1' },
      { row: 2, id: 'r2' },
    ],
  });
});

it.each([
  ['never answers', never],
  [
    'never returns',
    () => {
      for (;;);
    },
  ],
])('gives up on a function that %s', async (_, run) => {
  const mine = rowReward(({ completion }) => (completion === 'two' ? run() : 1), { name: 'mine', timeoutMs: 300 });
  await expect(mine.judge(rows)).rejects.toThrow('reward `mine`: 1 of 4 rows not judged:\n  row 1 (`r1`): no answer');
  const all = batchReward(async () => [await run()], { name: 'mine', timeoutMs: 300 });
  await expect(all.judge(rows)).rejects.toThrow('rows 0 to 3: no answer within 300 ms');
});

it('lets go of a function that does not listen when it is aborted', async () => {
  const stop = new AbortController();
  const judged = rowReward(never, { name: 'mine' }).judge(rows, { signal: stop.signal });
  setTimeout(() => stop.abort(new Error('enough')), 20);
  await expect(judged).rejects.toThrow('enough');
});

it.each([
  ['NaN', Number.NaN, 'expected a finite number, got NaN'],
  ['infinity', Number.POSITIVE_INFINITY, 'expected a finite number, got Infinity'],
  ['nothing', undefined, 'expected a finite number, got nothing'],
  ['text', '1', 'expected a finite number, got "1"'],
  ['null', null, 'expected a finite number, got null'],
])('takes %s for a failed row, never for a zero', async (_, value, message) => {
  const judgeRow = ({ completion }: { completion: string }) => (completion === 'three' ? value : 1) as number;
  await expect(rowReward(judgeRow, { name: 'mine' }).judge(rows)).rejects.toThrow(`row 2 (\`r2\`): ${message}`);
});

it('takes NaN for not judged where that was said, and nothing else', async () => {
  const of = (value: unknown) => rowReward(() => value as number, { name: 'mine', abstains: true });
  expect((await of(Number.NaN).judge(rows)).rewards).toEqual(new Float64Array(4).fill(Number.NaN));
  await expect(of(undefined).judge(rows)).rejects.toThrow('rows 0 to 3: expected a finite number, got nothing');
});

it.each([
  ['too few', [1, 2], '2'],
  ['too many', [1, 2, 3, 4, 5], '5'],
  ['a number', 3, '3'],
  ['nothing', undefined, 'nothing'],
])('refuses %s from a function of all rows', async (_, value, received) => {
  const reward = batchReward(() => value as number[], { name: 'mine' });
  await expect(reward.judge(rows)).rejects.toThrow(`expected 4 numbers, one a row, got ${received}`);
});

it("takes what a user's file exports", async () => {
  const ready = leaf({ name: 'ready', judge: async (all) => ({ rewards: all.map(() => 1) }) });
  expect(asReward(ready, { name: 'x' })).toBe(ready);
  expect((await asReward(() => 2, { name: 'x' }).judge(rows)).parts.x).toEqual(new Float64Array(4).fill(2));
  expect(() => asReward({ score: 1 }, { name: 'x' })).toThrow('expected a function of a row');
});
