import { describe, expect, it, test } from 'vitest';
import { objectives } from '../catalog.js';
import { ObjectiveError, type Problem } from '../errors.js';
import { countTotals, type Needs, type ObjectiveInput, type RowField, type ScoredBatch } from '../input.js';
import type { Objective } from '../objective.js';
import { randomInput, seeded } from '../testing/random.js';

/** The first problem that is told, and the whole text. */
function refusal(run: () => unknown): { readonly text: string; readonly problem: Problem | undefined } {
  try {
    run();
  } catch (error) {
    if (error instanceof ObjectiveError) return { text: error.message, problem: error.problems[0] };
    throw error;
  }
  return { text: 'accepted', problem: undefined };
}

/** Settings under which an objective reads everything that it can read: the defaults, and each choice of an option. */
function settingsOf(objective: Objective): Record<string, unknown>[] {
  const choices = objective.describeOptions().flatMap(({ name, type, values = [] }) => {
    const all: readonly unknown[] = type === 'boolean' ? [true, false] : values;
    return all.map((value) => ({ [name]: value }));
  });
  const seen = new Set<string>();
  return [{}, ...choices].filter((options) => {
    if (refusal(() => objective.resolveOptions(options)).problem) return false;
    const needs = JSON.stringify(objective.needsOf(options));
    return !seen.has(needs) && seen.add(needs);
  });
}

/** Every place of the mask counts, so that a bad number anywhere is one that is read. */
function wholeInput(objective: Objective, needs: Needs): ObjectiveInput {
  const input = randomInput(objective, needs, seeded(1), { units: 4, tokens: 3 });
  return { ...input, completionMask: input.completionMask.map(() => 1) };
}

const changed = (values: Float64Array, at: number, value: number) => values.map((old, i) => (i === at ? value : old));

type Table = 'policy' | 'reference' | 'old' | 'perToken';

/** The tables that an objective reads, and the names in them. */
function fieldsOf(needs: Needs): (readonly [table: Table, name: string])[] {
  const names = (table: Table) => (needs[table] ?? []).map((name) => [table, name] as const);
  return (['policy', 'reference', 'old', 'perToken'] as const).flatMap(names);
}

function fieldOf(input: ObjectiveInput, table: Table, name: string): Float64Array {
  return (input[table] as Record<string, Float64Array>)[name]!;
}

function withField(input: ObjectiveInput, table: Table, name: string, values: Float64Array): ObjectiveInput {
  return { ...input, [table]: { ...input[table], [name]: values } };
}

/** Rows' own fields, what they may not hold, and what is said of it. `undefined`: any number does. */
const rowFields: Readonly<Record<RowField, { readonly bad: number; readonly expected: string } | undefined>> = {
  labels: { bad: 2, expected: '0 or 1' },
  groups: undefined,
  rewards: { bad: Number.POSITIVE_INFINITY, expected: 'a finite number, or NaN where a completion is not judged' },
  densityRatios: { bad: -1, expected: 'a number from 0' },
  ranks: undefined,
  margins: { bad: Number.NaN, expected: 'a finite number' },
  external: { bad: 2, expected: '0 or 1' },
  targetLogScores: { bad: Number.POSITIVE_INFINITY, expected: 'a number below Infinity, or NaN where none is known' },
};

describe.each(Object.values(objectives))('$name', (objective) => {
  const { name } = objective;
  const infos = objective.describeOptions();

  test.each(settingsOf(objective))('lengths that do not match, with %o', (options) => {
    const needs = objective.needsOf(options);
    const input = wholeInput(objective, needs);
    const run = (bad: ObjectiveInput) => refusal(() => objective.evaluate(bad, options)).text;
    const { rows, tokens } = input;
    const cells = rows * tokens;
    const expected = `expected ${cells} numbers, [rows, tokens] = [${rows}, ${tokens}], got ${cells - 1} numbers.`;
    expect(run({ ...input, completionMask: input.completionMask.slice(1) })).toBe(
      `objective \`${name}\`, \`completionMask\`: ${expected}`,
    );
    for (const [table, field] of fieldsOf(needs)) {
      const bad = withField(input, table, field, fieldOf(input, table, field).slice(1));
      expect(run(bad)).toContain(`objective \`${name}\`, \`${table}.${field}\`: ${expected}`);
    }
    for (const field of rowFieldsOf(objective, needs)) {
      const bad = { ...input, perRow: { ...input.perRow, [field]: input.perRow![field]!.slice(1) } };
      const told = `expected ${rows} numbers, [rows] = [${rows}], got ${rows - 1} numbers.`;
      expect(run(bad)).toContain(`objective \`${name}\`, \`perRow.${field}\`: ${told}`);
    }
    for (const batch of needs.batches ?? []) {
      const whole = input.batches![batch]!;
      const bad: ScoredBatch = { ...whole, policy: { logprobs: new Float64Array(1) } };
      expect(run({ ...input, batches: { [batch]: bad } })).toContain(
        `objective \`${name}\`, \`batches.${batch}.policy.logprobs\`: expected ${whole.rows * whole.tokens} numbers`,
      );
    }
  });

  test.each(settingsOf(objective))('what is absent, with %o', (options) => {
    const needs = objective.needsOf(options);
    const input = wholeInput(objective, needs);
    for (const [table, field] of fieldsOf(needs)) {
      const { [field]: _, ...others } = input[table] as Record<string, Float64Array>;
      const { text } = refusal(() => objective.evaluate({ ...input, [table]: others }, options));
      expect(text).toMatch(
        new RegExp(
          `^objective \`${name}\`, \`${table}\\.${field.replace(/[()]/g, '\\$&')}\`: expected a .*, got nothing\\.`,
        ),
      );
    }
  });

  test.each(settingsOf(objective))('numbers that are not finite where the mask is 1, with %o', (options) => {
    const needs = objective.needsOf(options);
    const input = wholeInput(objective, needs);
    const [row, token] = [input.rows - 1, 1];
    const at = row * input.tokens + token;
    for (const [table, field] of fieldsOf(needs)) {
      for (const value of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
        const values = changed(fieldOf(input, table, field), at, value);
        const { text, problem } = refusal(() => objective.evaluate(withField(input, table, field, values), options));
        const place = `objective \`${name}\`, \`${table}.${field}\`, row ${row}, token ${token}`;
        expect(text).toContain(`${place}: expected a finite number, got ${value}.`);
        expect(problem).toMatchObject({ code: 'non-finite-score', where: { field: `${table}.${field}`, row, token } });
        // The same number in a masked place is passed over.
        const masked = { ...input, completionMask: input.completionMask.map((bit, i) => (i === at ? 0 : bit)) };
        expect(refusal(() => objective.evaluate(withField(masked, table, field, values), options)).text).toBe(
          'accepted',
        );
      }
    }
  });

  test.each(settingsOf(objective))('numbers of rows that mean nothing, with %o', (options) => {
    const needs = objective.needsOf(options);
    const input = wholeInput(objective, needs);
    for (const field of rowFieldsOf(objective, needs)) {
      const rule = rowFields[field];
      if (rule === undefined) continue;
      const row = input.rows - 1;
      const values = input.perRow![field]!.map((old: number, i: number) => (i === row ? rule.bad : old));
      const { text } = refusal(() =>
        objective.evaluate({ ...input, perRow: { ...input.perRow, [field]: values } }, options),
      );
      expect(text).toContain(
        `objective \`${name}\`, \`perRow.${field}\`, row ${row}: expected ${rule.expected}, got ${rule.bad}.`,
      );
    }
  });

  it('refuses rows that are not of its kind', () => {
    const input = wholeInput(objective, objective.needsOf());
    if (objective.rows === 'pairs') {
      const odd = { rows: 1, tokens: 1, completionMask: Uint8Array.of(1), policy: {} };
      expect(refusal(() => objective.evaluate(odd)).text).toContain(
        `objective \`${name}\`, \`rows\`: expected an even number, got 1. Row 2i is chosen, row 2i + 1 rejected`,
      );
    }
    if (objective.rows === 'groups') {
      const groups = input.perRow!.groups!.map((group, row) => (row === input.rows - 1 ? 0 : group));
      expect(refusal(() => objective.evaluate({ ...input, perRow: { ...input.perRow, groups } })).text).toContain(
        `objective \`${name}\`, \`perRow.groups\`, row ${input.rows - 1}: expected the rows of a group to stand together, got group 0 a second time.`,
      );
    }
    const mask = input.completionMask.map((bit, i) => (i === 4 ? 3 : bit));
    expect(refusal(() => objective.evaluate({ ...input, completionMask: mask })).text).toContain(
      `objective \`${name}\`, \`completionMask\`, row 1, token 1: expected 0 or 1, got 3.`,
    );
    const totals = { ...countTotals(objective.rows, input), rows: 1 };
    expect(refusal(() => objective.evaluate({ ...input, totals })).text).toContain(
      `objective \`${name}\`, \`totals.rows\`: expected at least the ${input.rows} of this micro-batch, got 1.`,
    );
  });

  it('refuses an option that there is none of, with the nearest names', () => {
    const { text } = refusal(() => objective.resolveOptions({ btea: 1 }));
    const expected = infos.length === 0 ? 'no options' : 'the name of an option';
    expect(text).toMatch(new RegExp(`^objective \`${name}\`, option \`btea\`: expected ${expected}, got \`btea\`\\.`));
    if (infos.some((info) => info.name === 'beta')) expect(text).toContain('Did you mean `beta`');
    expect(refusal(() => objective.evaluate(wholeInput(objective, objective.needsOf()), { btea: 1 })).text).toBe(text);
  });

  it.each(infos.filter(({ min }) => min !== undefined))(
    'refuses $name below $min',
    ({ name: option, min, ...info }) => {
      const value = min! < 0 ? 2 * min! - 1 : -1;
      const { text } = refusal(() => objective.resolveOptions({ [option]: value }));
      expect(text).toBe(
        `objective \`${name}\`, option \`${option}\`: expected ${info.type} ${info.range}, got ${value}. The default is ${JSON.stringify(info.default)}.`,
      );
    },
  );

  it('has a bound for each weight of a pull, and refuses NaN and text for a number', () => {
    for (const { name: option, type, min } of infos) {
      if (/^beta|Coef$|Weight$/.test(option)) expect(min, option).toBeGreaterThanOrEqual(0);
      if (type !== 'number' && type !== 'integer') continue;
      for (const [value, told] of [
        [Number.NaN, 'NaN'],
        ['1', '"1"'],
      ] as const) {
        const { text } = refusal(() => objective.resolveOptions({ [option]: value }));
        expect(text).toContain(`objective \`${name}\`, option \`${option}\`: expected ${type}`);
        expect(text).toContain(`, got ${told}. `);
      }
    }
  });
});

function rowFieldsOf({ rows }: Objective, { perRow = [] }: Needs): RowField[] {
  const implied: RowField[] = rows === 'unpaired' ? ['labels'] : rows === 'groups' ? ['groups'] : [];
  return [...new Set([...perRow, ...implied])];
}
