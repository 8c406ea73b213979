import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { getObjective, objectives } from './catalog.js';
import type { ObjectiveError } from './errors.js';
import { countTotals } from './input.js';
import { meanMetrics, mergeMetrics } from './metrics.js';
import { rowSums, spreadRows, total } from './numerics.js';
import { defineObjective } from './objective.js';
import { testObjective } from './testing/index.js';

const about = { title: '', summary: '', paper: '' };

/**
 * L = Σ_rows w_row Σ_t l_t + coef Σ_rows (Σ_t l_t)², w = exp(stopgrad KL of the row): full-vocabulary scores, old
 * policy, labels, per-token numbers and a whole-batch term in one, to see that the contract carries them.
 */
const everything = defineObjective({
  ...about,
  name: 'everything',
  rows: 'unpaired',
  separable: false,
  detached: ['forwardKl:weight'],
  needs: {
    policy: ['logprobs', 'forwardKl'],
    reference: ['logprobs'],
    old: ['logprobs'],
    perRow: ['labels', 'rewards'],
    perToken: ['advantages'],
    batches: ['mismatched'],
  },
  options: { coef: z.number().min(0).default(0.5).describe('Of the squared total.') },
  evaluate(input, { coef }) {
    const { policy, stopped, perRow, totals } = input;
    const weights = rowSums(input, stopped.forwardKl).map((kl, row) => Math.exp(kl) * (2 * perRow.labels[row]! - 1));
    const sums = rowSums(input, policy.logprobs);
    const whole = total(sums);
    const slopes = weights.map((weight) => (weight + 2 * coef * whole) / totals.rows);
    return {
      loss: (total(sums.map((sum, row) => sum * weights[row]!)) + coef * whole ** 2) / totals.rows,
      metrics: { whole: { sum: whole, count: 1 } },
      cotangents: { logprobs: spreadRows(input, slopes) },
    };
  },
});

for (const { name, run } of testObjective(everything)) test(`shared checks on every kind of input: ${name}`, run);

test('shared checks find a wrong cotangent, an undeclared stop, a leak through the mask', () => {
  const broken = (evaluate: typeof everything.evaluate, detached = everything.detached!) =>
    testObjective({ ...everything, detached, evaluate }).flatMap(({ name, run }) => {
      try {
        run();
        return [];
      } catch {
        return [name.split(' ')[0]];
      }
    });
  const scaled: typeof everything.evaluate = (input, options) => {
    const { cotangents, ...rest } = everything.evaluate(input, options);
    return { ...rest, cotangents: { logprobs: cotangents.logprobs!.map((value) => 1.001 * value) } };
  };
  const leaking: typeof everything.evaluate = (input, options) => {
    const { loss, ...rest } = everything.evaluate(input, options);
    return { ...rest, loss: loss + input.policy.logprobs!.at(-1)! };
  };
  expect(broken(everything.evaluate)).toEqual([]);
  expect(broken(scaled)).toEqual(['cotangent']);
  expect(broken(everything.evaluate, [])).toEqual(['stopped']);
  expect(broken(leaking)).toContain('masked');
});

const input = {
  rows: 2,
  tokens: 2,
  completionMask: Uint8Array.of(1, 1, 1, 0),
  policy: { logprobs: Float64Array.of(-1, -1, -1, 0) },
};

test('everything wrong with an input is said at once', () => {
  const logprobs = Float64Array.of(-1, Number.NaN, Number.NEGATIVE_INFINITY, 0);
  expect(() => objectives.dpo!.evaluate({ ...input, policy: { logprobs } })).toThrowErrorMatchingInlineSnapshot(`
    [ObjectiveError: objective \`dpo\`, \`policy.logprobs\`, row 0, token 1: expected a finite number, got NaN. 2 such entries in all.
    objective \`dpo\`, \`reference.logprobs\`: expected a score per token, got nothing. Ask the reference model for the score \`logprobs\`.]
  `);
});

test('half a pair', () => {
  const odd = { rows: 1, tokens: 1, completionMask: Uint8Array.of(1), policy: { logprobs: Float64Array.of(-1) } };
  expect(() => objectives.dpo!.evaluate({ ...odd, reference: odd.policy })).toThrowErrorMatchingInlineSnapshot(
    `[ObjectiveError: objective \`dpo\`, \`rows\`: expected an even number, got 1. Row 2i is chosen, row 2i + 1 rejected: one of them is missing.]`,
  );
});

test('a result that is not finite names its score, row and token', () => {
  const overflowing = defineObjective({
    ...about,
    name: 'overflowing',
    rows: 'single',
    separable: true,
    needs: { policy: ['logprobs'], reference: [] },
    options: {},
    evaluate: ({ policy }) => ({
      loss: 0,
      metrics: {},
      cotangents: { logprobs: policy.logprobs.map((value, at) => (at === 2 ? Math.exp(-1e4 * value) : 0)) },
    }),
  });
  expect(() => overflowing.evaluate(input)).toThrowErrorMatchingInlineSnapshot(
    `[ObjectiveError: objective \`overflowing\`, \`cotangents.logprobs\`, row 1, token 0: expected a finite number, got Infinity.]`,
  );
});

test('options that ask for more scores', () => {
  const bonus = defineObjective({
    ...about,
    name: 'bonus',
    rows: 'single',
    separable: true,
    needs: { policy: ['logprobs'], reference: [] },
    needsOf: ({ entropyCoef }) => ({ policy: entropyCoef > 0 ? ['logprobs', 'entropy'] : ['logprobs'], reference: [] }),
    options: { entropyCoef: z.number().min(0).default(0).describe('Of the bonus.') },
    evaluate: () => ({ loss: 0, metrics: {}, cotangents: {} }),
  });
  expect(bonus.needsOf({ entropyCoef: 1 }).policy).toEqual(['logprobs', 'entropy']);
  expect(() => bonus.evaluate(input)).not.toThrow();
  expect(() => bonus.evaluate(input, { entropyCoef: 1 })).toThrow(/`policy.entropy`: expected a score per token/);
});

test('options as data, from their schema', () => {
  expect(objectives.dpo!.describeOptions()).toMatchObject([
    { name: 'beta', type: 'number', default: 0.1, range: '> 0' },
    { name: 'labelSmoothing', type: 'number', default: 0, range: '[0, 0.5)' },
    { name: 'nllWeight', type: 'number', default: 0, range: '>= 0' },
    { name: 'nllReduction', type: 'choice', default: 'tokens', range: 'tokens | rows | sums' },
  ]);
});

test('an unknown objective names the nearest', () => {
  expect(getObjective('dpo').name).toBe('dpo');
  expect(() => getObjective('dpoo')).toThrow(/Did you mean `dpo`/);
  expect(() => getObjective('constructor')).toThrow(
    expect.objectContaining<Partial<ObjectiveError>>({ code: 'unknown-objective' }),
  );
});

test('groups stand together, and are counted', () => {
  const rows = { rows: 4, tokens: 1, completionMask: Uint8Array.of(1, 1, 0, 1) };
  const perRow = { groups: Int32Array.of(5, 5, 9, 9) };
  expect(countTotals('groups', { ...rows, perRow })).toEqual({
    rows: 4,
    nonEmptyRows: 3,
    groups: 2,
    scoredTokens: 3,
    chosenTokens: 3,
    chosenRows: 4,
    externalRows: 0,
    externalTokens: 0,
  });
  const grouped = defineObjective({
    ...about,
    name: 'grouped',
    rows: 'groups',
    separable: true,
    needs: { policy: [], reference: [], perRow: ['groups'] },
    options: {},
    evaluate: () => ({ loss: 0, metrics: {}, cotangents: {} }),
  });
  const apart = { ...rows, policy: {}, perRow: { groups: Int32Array.of(5, 9, 5, 9) } };
  expect(() => grouped.evaluate(apart)).toThrow(/row 2: expected the rows of a group to stand together/);
});

test('metrics merge by sum and count', () => {
  const merged = mergeMetrics([{ a: { sum: 1, count: 1 }, b: { sum: 0, count: 0 } }, { a: { sum: 5, count: 2 } }]);
  expect(merged).toEqual({ a: { sum: 6, count: 3 }, b: { sum: 0, count: 0 } });
  expect(meanMetrics(merged)).toEqual({ a: 2 });
});

test("the README's example prints what it says", () => {
  const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
  const code = /```ts\n(.*?)```/s.exec(readme)![1]!.replace(/^import .*$/m, '');
  const printed: unknown[] = [];
  const console = { log: (value: unknown) => printed.push(value) };
  new Function('dpo', 'meanMetrics', 'console', code)(objectives.dpo, meanMetrics, console);
  const promised = [...code.matchAll(/console\.log\(.*\); \/\/ (\d\S*?)(?=:|$)/gm)].map(([, number]) => Number(number));
  expect(promised).toHaveLength(2);
  expect(printed.slice(0, 2)).toEqual(promised);
});
