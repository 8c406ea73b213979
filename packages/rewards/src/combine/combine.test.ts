import { expect, it } from 'vitest';
import { rowReward } from '../function.js';
import { rowOf } from '../testing/rows.js';
import { calibrated, referenceRewards } from '../transforms/calibrated.js';
import { clipped } from '../transforms/clipped.js';
import { momentsOfRewards, normalised } from '../transforms/normalised.js';
import { ensemble } from './ensemble.js';
import { weightedSum } from './weighted.js';

/** A reward that reads its values from a column of the rows. */
const column = (name: string, abstains = false) => rowReward(({ meta }) => Number(meta[name]), { name, abstains });
const rowsOf = (columns: Readonly<Record<string, readonly number[]>>) =>
  Object.values(columns)[0]!.map((_, at) =>
    rowOf(`${at}`, { meta: Object.fromEntries(Object.entries(columns).map(([name, values]) => [name, values[at]])) }),
  );

it('adds rewards by weight, and shows what it added', async () => {
  const sum = weightedSum([
    { reward: column('a'), weight: 2 },
    { reward: column('b'), weight: -0.5 },
  ]);
  const { rewards, parts } = await sum.judge(rowsOf({ a: [1, 0], b: [4, 3] }));
  expect([...rewards]).toEqual([0, -1.5]);
  expect(parts).toEqual({ a: Float64Array.of(1, 0), b: Float64Array.of(4, 3), sum: rewards });
});

it('judges by the others where one reward abstains, and not at all where all do', async () => {
  const terms = (both: boolean) => [
    { reward: column('a', true), weight: 1 },
    { reward: column('b', both), weight: 10 },
  ];
  const rows = rowsOf({ a: [Number.NaN, 1, Number.NaN], b: [2, 3, 4] });
  expect([...(await weightedSum(terms(false)).judge(rows)).rewards]).toEqual([20, 31, 40]);
  const none = await weightedSum(terms(true)).judge(rowsOf({ a: [Number.NaN, 1], b: [Number.NaN, Number.NaN] }));
  expect([...none.rewards]).toEqual([Number.NaN, 1]);
});

it.each([
  ['mean', {}, [2, 1]],
  ['worst', {}, [1, 1]],
  ['cautious', { caution: 1.5 }, [2 - 1.5 * (2 / 3), 1]],
  ['cautious', { caution: 1.5, disagreement: 'deviation' }, [2 - 1.5 * Math.sqrt(2 / 3), 1]],
] as const)('coste2023: an ensemble by %s %o', async (how, options, expected) => {
  const members = ['a', 'b', 'c'].map((name) => column(name));
  const { rewards, parts } = await ensemble(members, { how, ...options }).judge(
    rowsOf({ a: [1, 1], b: [2, 1], c: [3, 1] }),
  );
  for (const [at, value] of expected.entries()) expect(rewards[at]).toBeCloseTo(value, 12);
  expect(parts['ensemble/deviation']![0]).toBeCloseTo(Math.sqrt(2 / 3), 12);
  expect(parts['ensemble/deviation']![1]).toBe(0);
});

it('stops the other members, and waits for them, when one fails', async () => {
  let stopped = false;
  const slow = rowReward(
    (_, { signal }) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => {
          stopped = true;
          reject(signal.reason);
        });
      }),
    { name: 'slow' },
  );
  const broken = rowReward(() => Promise.reject(new Error('no')), { name: 'broken' });
  await expect(ensemble([slow, broken]).judge([rowOf('x')])).rejects.toThrow('reward `broken`: 1 of 1 rows not judged');
  expect(stopped).toBe(true);
});

it('refuses two parts of one name, which would hide one', () => {
  expect(() => ensemble([column('a'), column('a')])).toThrow('two parts are called `a`');
});

it('clips, and keeps the reward as it was beside it', async () => {
  const { rewards, parts } = await clipped(column('a', true), { low: -1, high: 2 }).judge(
    rowsOf({ a: [-7, 0.5, 9, Number.NaN] }),
  );
  expect([...rewards]).toEqual([-1, 0.5, 2, Number.NaN]);
  expect([...parts.a!]).toEqual([-7, 0.5, 9, Number.NaN]);
  expect(() => clipped(column('a'), { low: 2, high: 2 })).toThrow(
    'option `low`: expected a number below `high`, 2, got 2',
  );
});

it('normalises by moments that were measured on the reference', async () => {
  const by = momentsOfRewards(Float64Array.of(1, 2, 3, Number.NaN));
  const { rewards } = await normalised(column('a'), { by }).judge(rowsOf({ a: [2, 5] }));
  expect(rewards[0]).toBeCloseTo(0, 12);
  expect(rewards[1]).toBeCloseTo(3, 12);
  const kept = await normalised(column('a'), { by: { mean: 9, deviation: 2 }, shiftMean: false }).judge(
    rowsOf({ a: [4] }),
  );
  expect(kept.rewards[0]).toBe(2);
});

it('normalises by all it was shown: chunk by chunk the last chunk as if all were one', async () => {
  const reward = normalised(column('a'), { by: 'running' });
  const first = await reward.judge(rowsOf({ a: [1, 5, 2] }));
  const saved = JSON.parse(JSON.stringify(first.state));
  const second = await reward.judge(rowsOf({ a: [4, 9] }), { state: saved });
  const whole = await reward.judge(rowsOf({ a: [1, 5, 2, 4, 9] }));
  expect(second.rewards[1]).toBeCloseTo(whole.rewards[4]!, 12);
  expect(second.state['a/normalised']!.mean).toBeCloseTo(21 / 5, 12);
});

it('leaves the running moments alone when the state is not handed on, or another reward fails', async () => {
  const running = normalised(column('a'), { by: 'running' });
  const both = weightedSum([
    { reward: running, weight: 1 },
    { reward: column('b'), weight: 1 },
  ]);
  const { state } = await both.judge(rowsOf({ a: [1, 2], b: [0, 0] }));
  await expect(both.judge(rowsOf({ a: [70, 80], b: [0, Number.NaN] }), { state })).rejects.toThrow('reward `b`');
  const again = await both.judge(rowsOf({ a: [3], b: [0] }), { state });
  expect(again.state['a/normalised']!.mean).toBeCloseTo(2, 12);
});

it('normalises nothing while there is no deviation', async () => {
  const { rewards } = await normalised(column('a'), { by: 'running' }).judge(rowsOf({ a: [3, 3, 3] }));
  expect([...rewards]).toEqual([0, 0, 0]);
  const kept = normalised(column('a'), { by: 'running', shiftMean: false });
  const first = await kept.judge(rowsOf({ a: [3] }));
  const second = await kept.judge(rowsOf({ a: [3, 3] }), { state: first.state });
  expect([...first.rewards, ...second.rewards]).toEqual([3, 3, 3]);
});

it('balashankar2024: the quantile among the reference of the same prompt, and e^tC', async () => {
  const prompts = ['p', 'p', 'q', 'p', 'q', 'p'];
  const reference = referenceRewards(
    prompts.map((prompt) => ({ prompt })),
    [1, 2, 100, 3, 200, 4],
  );
  expect(reference).toEqual({ p: [1, 2, 3, 4], q: [100, 200] });
  const row = (prompt: string, a: number) => rowOf('x', { prompt, meta: { a } });
  const rows = [row('p', 0.5), row('p', 2), row('p', 99), row('q', 99), row('q', 150)];
  const plain = await calibrated(column('a'), { reference }).judge(rows);
  expect([...plain.rewards]).toEqual([0, 0.5, 1, 0, 0.5]);
  const { rewards, parts } = await calibrated(column('a'), { reference, exponent: -10 }).judge(rows);
  expect(rewards[1]).toBeCloseTo(-Math.exp(-5), 12);
  expect(parts['a/calibrated/quantile']).toEqual(plain.rewards);
  await expect(calibrated(column('a'), { reference }).judge([row('r', 1)])).rejects.toThrow(
    'row 0: no reference rewards for the prompt "r"',
  );
});

it('orders completions as the reward does, whatever the scale of a prompt', async () => {
  const values = [-3, 0, 0.1, 7];
  const rows = values.map((a) => rowOf('x', { meta: { a } }));
  const reference = referenceRewards(rows, values);
  const { rewards } = await calibrated(column('a'), { reference, exponent: 4 }).judge(rows);
  expect([...rewards].sort((x, y) => x - y)).toEqual([...rewards]);
});
