import { ObjectiveError, type ProblemCode } from '../errors.js';
import {
  addTotals,
  type Cotangents,
  countTotals,
  type Needs,
  type ObjectiveInput,
  type ScoreName,
  scoresIn,
} from '../input.js';
import { type Metrics, mergeMetrics } from '../metrics.js';
import type { Evaluation, Objective } from '../objective.js';
import { type Random, randomInput, randomOptions, seeded, unitRows } from './random.js';
import { atReference, fillMasked, padTokens, takeUnits } from './rows.js';

/** One property an objective must have; `run` throws if it has not. */
export interface Check {
  readonly name: string;
  run(): void;
}

interface Case {
  readonly input: ObjectiveInput;
  readonly options: Record<string, unknown>;
  readonly random: Random;
}

type Property = (objective: Objective, trial: Case) => void;

/** Units (pairs, groups, rows) of a random batch: enough to be split three ways. */
const UNITS = 4;

/** Exact arithmetic in another order: relative to the larger number. */
const REORDERED = { absolute: 1e-12, relative: 1e-12 };

/**
 * Central difference at step 1e-5: the truncation is h²/6 f''' (about 2e-11 f'''), rounding eps |f| / h (2e-11 |f|).
 * The absolute bound grows with |f|.
 */
const DIFFERENCE = { step: 1e-5, absolute: 1e-8, relative: 1e-6 };

const properties: Readonly<Record<string, Property>> = {
  'cotangent = central difference, stopped gradients held still': cotangentIsDifference,
  'stopped gradients are the declared ones': stoppedAsDeclared,
  'cotangents only of the scores asked for, 0 where masked': cotangentShapes,
  'masked entries change nothing, whatever they hold': maskedChangesNothing,
  'padding changes nothing': paddingChangesNothing,
  'row order changes nothing': orderChangesNothing,
  'micro-batches add up': microBatchesAddUp,
  'policy = reference gives the known loss': knownAtReference,
  'empty completions: finite, no gradient': emptyCompletions,
  'finite at logratios of ±1e4 and one-token completions': finiteAtExtremes,
  'wrong options are named': wrongOptions,
  'wrong inputs are named': wrongInputs,
};

/**
 * The checks every objective has to pass, over its defaults and over options drawn from their declared ranges. Belongs
 * to no test framework: `for (const { name, run } of testObjective(dpo)) test(name, run)`.
 */
export function testObjective(
  objective: Objective,
  { seed = 20240229, trials = 6 }: { readonly seed?: number; readonly trials?: number } = {},
): Check[] {
  return Object.entries(properties).map(([name, property]) => ({
    name,
    run() {
      for (let trial = 0; trial < trials; trial++) {
        const random = seeded(seed + trial);
        const options = trial === 0 ? { ...objective.defaults } : randomOptions(objective, random);
        const input = randomInput(objective, objective.needsOf(options), random, { units: UNITS });
        try {
          property(objective, { input, options, random });
        } catch (cause) {
          const message = cause instanceof Error ? cause.message : String(cause);
          throw new Error(`${objective.name}, seed ${seed + trial}, options ${JSON.stringify(options)}: ${message}`, {
            cause,
          });
        }
      }
    },
  }));
}

function cotangentIsDifference(objective: Objective, { input, options }: Case): void {
  const { loss, cotangents } = objective.evaluate(input, options);
  const absolute = DIFFERENCE.absolute * Math.max(1, Math.abs(loss));
  for (const score of objective.needsOf(options).policy) {
    for (const at of maskedIn(input)) {
      const difference = differenceAt(objective, { ...input, stopped: input.policy }, options, 'policy', score, at);
      const cotangent = cotangents[score]?.[at] ?? 0;
      close(`d loss / d ${score}${place(input, at)}`, cotangent, difference, { ...DIFFERENCE, absolute });
    }
  }
}

function differenceAt(
  objective: Objective,
  input: ObjectiveInput,
  options: object,
  of: 'policy' | 'stopped',
  score: ScoreName,
  at: number,
): number {
  const lossAt = (step: number) => {
    const moved = Float64Array.from(input[of]![score]!);
    moved[at]! += step;
    return objective.evaluate({ ...input, [of]: { ...input[of], [score]: moved } }, options).loss;
  };
  return (lossAt(DIFFERENCE.step) - lossAt(-DIFFERENCE.step)) / (2 * DIFFERENCE.step);
}

/** A score not declared must not be read from `stopped`: what its loss owes to it would have lost its gradient. */
function stoppedAsDeclared(objective: Objective, { input, options }: Case): void {
  const declared = new Set((objective.detached ?? []).map((name) => name.split(':')[0]));
  const { loss } = objective.evaluate(input, options);
  for (const score of objective.needsOf(options).policy.filter((name) => !declared.has(name))) {
    const moved = input.policy[score]!.map((value) => value - 0.25);
    const held = objective.evaluate({ ...input, stopped: { ...input.policy, [score]: moved } }, options).loss;
    ensure(held === loss, `\`${score}\` is read from \`stopped\` but not declared in \`detached\``);
  }
}

function cotangentShapes(objective: Objective, { input, options }: Case): void {
  const { cotangents } = objective.evaluate(input, options);
  const asked = objective.needsOf(options).policy;
  for (const score of scoresIn(cotangents)) {
    const values = cotangents[score]!;
    ensure(asked.includes(score), `a cotangent of \`${score}\`, which is not in \`needs.policy\``);
    equal(`length of the cotangent of ${score}`, values.length, input.rows * input.tokens);
    values.forEach((value, at) => {
      if (!input.completionMask[at]) ensure(value === 0, `masked cotangent ${score}${place(input, at)} is ${value}`);
    });
  }
}

function maskedChangesNothing(objective: Objective, { input, options }: Case): void {
  const junk = [Number.NaN, Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY, 1e300];
  const before = objective.evaluate(withEntropy(input), options);
  const after = objective.evaluate(
    fillMasked(withEntropy(input), (at) => junk[at % junk.length]!),
    options,
  );
  sameEvaluation(before, after, { absolute: 0, relative: 0 });
}

function paddingChangesNothing(objective: Objective, { input, options }: Case): void {
  const before = objective.evaluate(withEntropy(input), options);
  const wide = objective.evaluate(padTokens(withEntropy(input), 3), options);
  const padded = padTokens({ ...input, policy: before.cotangents }, 3).policy;
  sameEvaluation({ ...before, cotangents: padded }, wide, { absolute: 0, relative: 0 });
}

function orderChangesNothing(objective: Objective, { input, options, random }: Case): void {
  const order = shuffled(UNITS, random);
  const before = objective.evaluate(withEntropy(input), options);
  const after = objective.evaluate(takeUnits(withEntropy(input), objective.rows, order), options);
  const cotangents = takeUnits({ ...input, policy: before.cotangents }, objective.rows, order).policy;
  sameEvaluation({ ...before, cotangents }, after, REORDERED);
}

function microBatchesAddUp(objective: Objective, { input, options, random }: Case): void {
  if (!objective.separable) return;
  const order = shuffled(UNITS, random);
  const parts = [order.slice(0, 1), order.slice(1, 2), order.slice(2)].map((units) =>
    takeUnits(withEntropy(input), objective.rows, units),
  );
  const totals = addTotals(parts.map((part) => countTotals(objective.rows, part)));
  const pieces = parts.map((part) => objective.evaluate({ ...part, totals }, options));
  const whole = objective.evaluate(takeUnits(withEntropy(input), objective.rows, order), options);
  const joined = {
    loss: pieces.reduce((sum, { loss }) => sum + loss, 0),
    metrics: mergeMetrics(pieces.map(({ metrics }) => metrics)),
    cotangents: joinCotangents(pieces.map(({ cotangents }) => cotangents)),
  };
  sameEvaluation(whole, joined, REORDERED);
}

function knownAtReference(objective: Objective, { input, options }: Case): void {
  const known = objective.atReference?.(objective.resolveOptions(options));
  if (known === undefined) return;
  close('loss', objective.evaluate(atReference(input), options).loss, known, REORDERED);
}

function emptyCompletions(objective: Objective, { input, options }: Case): void {
  const empty = { ...input, completionMask: new Uint8Array(input.completionMask.length) };
  const { cotangents } = objective.evaluate(
    fillMasked(empty, () => Number.NaN),
    options,
  );
  for (const [score, values] of Object.entries(cotangents)) {
    ensure(
      values.every((value) => value === 0),
      `an empty completion has a gradient of \`${score}\``,
    );
  }
  const oneEmpty = input.completionMask.map((bit, at) => (at < input.tokens ? 0 : bit));
  objective.evaluate({ ...input, completionMask: oneEmpty }, options);
}

function finiteAtExtremes(objective: Objective, { options, random }: Case): void {
  const needs = objective.needsOf(options);
  const size = unitRows[objective.rows];
  const sides = [0, 1e4, -1e4];
  const units = sides.flatMap((first) => sides.map((second) => [first, second]));
  const input = randomInput(objective, needs, random, { units: units.length, tokens: 1 });
  const logratios = Float64Array.from({ length: input.rows }, (_, row) => units[Math.floor(row / size)]![row % 2]!);
  const policy = { ...input.policy, logprobs: logratios.map((logratio) => -0.5 + Math.min(logratio, 0)) };
  const reference = { ...input.reference, logprobs: logratios.map((logratio) => -0.5 - Math.max(logratio, 0)) };
  const extreme = { ...input, policy, reference, old: { ...input.old, logprobs: policy.logprobs } };
  for (let unit = 0; unit < units.length; unit++)
    allFinite(objective, takeUnits(extreme, objective.rows, [unit]), options);
  allFinite(objective, extreme, options);
}

/** Loss and cotangents are checked by `evaluate` itself. */
function allFinite(objective: Objective, input: ObjectiveInput, options: object): void {
  for (const [key, { sum, count }] of Object.entries(objective.evaluate(input, options).metrics)) {
    ensure(Number.isFinite(sum) && Number.isFinite(count), `metric \`${key}\` is ${sum} / ${count}`);
  }
}

function wrongOptions(objective: Objective): void {
  const infos = objective.describeOptions();
  for (const { name, description, default: preset } of infos) {
    ensure(description !== '', `option \`${name}\` has no description`);
    ensure(preset !== undefined, `option \`${name}\` has no default`);
    const error = problem('unknown-option', () => objective.resolveOptions({ [`${name}s`]: 1 }));
    ensure(error.message.includes(`\`${name}\``), `\`${name}s\` does not lead to \`${name}\`: ${error.message}`);
  }
  problem('unknown-option', () => objective.resolveOptions({ noSuchOption: 1 }));
  for (const { name, min, max, values, type } of infos) {
    const wrong = [
      ...(min === undefined ? [] : [min - 1]),
      ...(max === undefined ? [] : [max + 1]),
      ...(values || type === 'boolean' ? ['no such value'] : []),
      ...(type === 'number' || type === 'integer' ? [Number.NaN, '1'] : []),
    ];
    for (const value of wrong) {
      const error = problem('invalid-option', () => objective.resolveOptions({ [name]: value }));
      equal('option named', error.where.option, name);
    }
  }
}

function wrongInputs(objective: Objective, { input, options }: Case): void {
  const needs: Needs = objective.needsOf(options);
  const run = (changed: Partial<ObjectiveInput>) => () => objective.evaluate({ ...input, ...changed }, options);
  const at = maskedIn(input).at(-1)!;
  for (const of of ['policy', 'reference', 'old'] as const) {
    for (const score of needs[of] ?? []) {
      const { [score]: values, ...others } = input[of]!;
      problem('missing-score', run({ [of]: others }));
      problem('wrong-shape', run({ [of]: { ...others, [score]: values!.slice(1) } }));
      const broken = values!.map((value, index) => (index === at ? Number.NEGATIVE_INFINITY : value));
      const error = problem('non-finite-score', run({ [of]: { ...others, [score]: broken } }));
      equal('field', error.where.field, `${of}.${score}`);
      equal('place', place(input, at), `[${error.where.row}, ${error.where.token}]`);
    }
  }
  problem('wrong-shape', run({ completionMask: input.completionMask.slice(1) }));
  problem('wrong-mask', run({ completionMask: input.completionMask.map((bit) => bit * 2) }));
  const own = countTotals(objective.rows, input);
  problem('wrong-totals', run({ totals: { ...own, rows: own.rows - 1 } }));
}

/** With `entropy` beside what is asked for, as a policy may give it for the metric alone. */
function withEntropy(input: ObjectiveInput): ObjectiveInput {
  const entropy = input.policy.entropy ?? Float64Array.from(input.completionMask, (_, at) => 1 + Math.sin(at));
  return { ...input, policy: { ...input.policy, entropy } };
}

/** Where the mask is 1. */
function maskedIn({ completionMask }: ObjectiveInput): number[] {
  return [...completionMask.keys()].filter((at) => completionMask[at] === 1);
}

function shuffled(count: number, random: Random): number[] {
  const keys = Array.from({ length: count }, () => random());
  return [...keys.keys()].sort((a, b) => keys[a]! - keys[b]!);
}

function joinCotangents(parts: readonly Cotangents[]): Cotangents {
  const names = scoresIn(...parts);
  return Object.fromEntries(
    names.map((name) => [name, Float64Array.from(parts.flatMap((part) => [...(part[name] ?? [])]))]),
  );
}

function sameEvaluation(expected: Evaluation, actual: Evaluation, tolerance: Tolerance): void {
  close('loss', actual.loss, expected.loss, tolerance);
  sameMetrics(expected.metrics, actual.metrics, tolerance);
  for (const score of scoresIn(expected.cotangents, actual.cotangents)) {
    const values = expected.cotangents[score];
    equal(`cotangent of ${score} given`, actual.cotangents[score] !== undefined, values !== undefined);
    values?.forEach((value, at) => {
      close(`cotangent of ${score} at ${at}`, actual.cotangents[score]![at]!, value, tolerance);
    });
  }
}

function sameMetrics(expected: Metrics, actual: Metrics, tolerance: Tolerance): void {
  equal('metric keys', Object.keys(actual).sort().join(), Object.keys(expected).sort().join());
  for (const [key, { sum, count }] of Object.entries(expected)) {
    close(`metric ${key}, sum`, actual[key]!.sum, sum, tolerance);
    close(`metric ${key}, count`, actual[key]!.count, count, tolerance);
  }
}

interface Tolerance {
  readonly absolute: number;
  readonly relative: number;
}

function close(what: string, actual: number, expected: number, { absolute, relative }: Tolerance): void {
  const bound = absolute + relative * Math.abs(expected);
  ensure(Math.abs(actual - expected) <= bound, `${what}: expected ${expected}, got ${actual}, bound ${bound}`);
}

function equal<Value>(what: string, actual: Value, expected: Value): void {
  ensure(actual === expected, `${what}: expected ${expected}, got ${actual}`);
}

function ensure(holds: boolean, message: string): void {
  if (!holds) throw new Error(message);
}

/** The `ObjectiveError` of a code that `run` must throw. */
function problem(code: ProblemCode, run: () => unknown): ObjectiveError {
  try {
    run();
  } catch (error) {
    if (error instanceof ObjectiveError && error.code === code) return error;
    throw new Error(`expected an ObjectiveError \`${code}\``, { cause: error });
  }
  throw new Error(`expected an ObjectiveError \`${code}\`, nothing was thrown`);
}

function place({ tokens }: ObjectiveInput, at: number): string {
  return `[${Math.floor(at / tokens)}, ${at % tokens}]`;
}
