import { z } from 'zod';
import type { Claims } from './claims.js';
import { type Problem, throwIfAny } from './errors.js';
import {
  type BatchName,
  type Cotangents,
  checkInput,
  countTotals,
  type Needs,
  type ObjectiveInput,
  type ObjectiveState,
  type RowKind,
  type RowTable,
  type ScoredBatch,
  type ScoreName,
  type Scores,
  scoresIn,
  type TokenTable,
  type Totals,
} from './input.js';
import type { Metrics } from './metrics.js';
import type { Grid } from './numerics.js';
import { describeOptions, type OptionInfo, parseOptions } from './options.js';

export interface Evaluation {
  /** This input's part of the step's loss, already divided by the totals: the losses of micro-batches add up. */
  readonly loss: number;
  readonly metrics: Metrics;
  /** d loss / d policy score, by score: what a policy pulls back to its parameters. Exactly 0 where masked. */
  readonly cotangents: Cotangents;
  /**
   * Numbers a row, pair or token, as the objective's doc lists them: `losses` before any mean, `implicitRewards`, weights.
   * Neither averaged nor divided by the totals.
   */
  readonly details?: Readonly<Record<string, Float64Array>>;
  /** What the next step is to be handed as `state`, of an objective that has one. */
  readonly state?: ObjectiveState;
}

/** What is asked for is there; what is not may be. */
type Given<Table, Names> = Table & Required<Pick<Table, Extract<Names, keyof Table>>>;
type Listed<List> = List extends readonly (infer Name)[] ? Name : never;

/** An input after `checkInput`, with everything in `N` present and totals filled in. */
export type CheckedInput<N extends Needs = Needs> = Grid & {
  readonly policy: Given<Scores, N['policy'][number]>;
  readonly stopped: Given<Scores, N['policy'][number]>;
  readonly reference: Given<Scores, N['reference'][number]>;
  readonly old: Given<Scores, Listed<N['old']>>;
  readonly perRow: Given<Partial<RowTable>, Listed<N['perRow']>>;
  readonly perToken: Given<Partial<TokenTable>, Listed<N['perToken']>>;
  readonly batches: Given<{ readonly [Name in BatchName]?: ScoredBatch }, Listed<N['batches']>>;
  readonly totals: Totals;
  readonly state: ObjectiveState;
};

/** A stopped gradient: a score, and where it has sides the side. `forwardKl:chosen`, `logprobs:weight`. */
export type Detached = ScoreName | `${ScoreName}:${string}`;

interface Declared<Options> {
  /** As in flags and configs, and the name of its file. */
  readonly name: string;
  readonly title: string;
  /** One sentence: what it does to the policy. */
  readonly summary: string;
  /** Authors, year, arXiv number. */
  readonly paper: string;
  readonly rows: RowKind;
  /**
   * Whether rows may be split over micro-batches (pairs and groups stay whole). If not, `evaluate` is to see the whole
   * step at once and only the pullback is split.
   */
  readonly separable: boolean;
  /**
   * The loss is linear in the policy's scores: cotangents do not depend on them, and a policy may take scores and
   * gradient in one pass. Default false.
   */
  readonly linear?: boolean;
  /**
   * Scores that the loss also reads as constants. `evaluate` reads them from `stopped`, so that a difference check that
   * moves `policy` holds them still.
   */
  readonly detached?: readonly Detached[];
  /** Carried from step to step: its initial values. Every evaluation gives the next ones. */
  readonly state?: ObjectiveState;
  /** Loss of a whole step where the policy is the reference, if the options settle it: a check on step 0. */
  atReference?(options: Options): number | undefined;
  /** What it promises beyond its gradient under these options: its optimum, what its estimator descends. */
  claims?(options: Options): Claims;
  /** Further options, beside the defaults and each choice, under which it claims something. */
  readonly claimedAt?: readonly Readonly<Record<string, unknown>>[];
}

export interface ObjectiveDefinition<Shape extends z.ZodRawShape, N extends Needs>
  extends Declared<z.output<z.ZodObject<Shape>>> {
  /** What is read whatever the options are. */
  readonly needs: N;
  /** What is read under these options, if some ask for more; `needs` included. */
  needsOf?(options: z.output<z.ZodObject<Shape>>): Needs;
  /** zod, one entry an option, each with `default` and `describe`: flags, config schema and tables come from it. */
  readonly options: Shape;
  evaluate(input: CheckedInput<N>, options: z.output<z.ZodObject<Shape>>): Evaluation;
}

export interface Objective<Options extends object = Record<string, unknown>> extends Declared<Options> {
  readonly needs: Needs;
  needsOf(options?: Partial<Options>): Needs;
  readonly options: z.ZodObject;
  readonly defaults: Readonly<Options>;
  /** The options as data, for flags, schemas and tables. */
  describeOptions(): OptionInfo[];
  /** Defaults filled in; throws an `ObjectiveError` on an unknown or invalid option. */
  resolveOptions(options?: Partial<Options>): Options;
  /** Checks options and input, then computes. Pure. Throws an `ObjectiveError`. */
  evaluate(input: ObjectiveInput, options?: Partial<Options>): Evaluation;
}

/** An objective from its declaration: adds defaults, the checks on entry, and totals where the caller gives none. */
export function defineObjective<const Shape extends z.ZodRawShape, const N extends Needs>(
  definition: ObjectiveDefinition<Shape, N>,
): Objective<z.output<z.ZodObject<Shape>>> {
  type Options = z.output<z.ZodObject<Shape>>;
  const { name, rows, needs, state = {} } = definition;
  const schema: z.ZodObject<Shape> = z.strictObject(definition.options);
  const resolveOptions = (options: Partial<Options> = {}): Options => parseOptions(schema, options, name);
  const needsOf = (options?: Partial<Options>): Needs => definition.needsOf?.(resolveOptions(options)) ?? needs;
  return {
    ...definition,
    options: schema as unknown as z.ZodObject,
    defaults: resolveOptions(),
    needsOf,
    resolveOptions,
    describeOptions: () => describeOptions(schema as unknown as z.ZodObject),
    evaluate(input, options) {
      const resolved = resolveOptions(options);
      checkInput(input, { name, rows, needs: needsOf(resolved), state });
      const evaluation = definition.evaluate(complete(input, rows, state) as unknown as CheckedInput<N>, resolved);
      throwIfAny(resultProblems(evaluation, input.tokens, name));
      return evaluation;
    },
  };
}

/** Fills in what a caller may leave out. */
function complete(input: ObjectiveInput, kind: RowKind, initial: ObjectiveState): Required<ObjectiveInput> {
  const { rows, tokens, completionMask, policy } = input;
  return {
    rows,
    tokens,
    completionMask,
    policy,
    stopped: input.stopped ?? policy,
    reference: input.reference ?? {},
    old: input.old ?? {},
    perRow: input.perRow ?? {},
    perToken: input.perToken ?? {},
    batches: input.batches ?? {},
    totals: input.totals ?? countTotals(kind, input),
    state: input.state ?? initial,
  };
}

/** A loss or cotangent that is not finite stops here, with its row and token, before it reaches the weights. */
function resultProblems({ loss, cotangents }: Evaluation, tokens: number, objective: string): Problem[] {
  const problems: Problem[] = [];
  const expected = 'a finite number';
  for (const score of scoresIn(cotangents)) {
    const values = cotangents[score];
    const bad = values?.findIndex((value) => !Number.isFinite(value)) ?? -1;
    if (bad < 0) continue;
    const where = { objective, field: `cotangents.${score}`, row: Math.floor(bad / tokens), token: bad % tokens };
    problems.push({ code: 'non-finite-result', where, expected, received: `${values?.[bad]}` });
  }
  if (!Number.isFinite(loss)) {
    problems.push({ code: 'non-finite-result', where: { objective, field: 'loss' }, expected, received: `${loss}` });
  }
  return problems;
}
