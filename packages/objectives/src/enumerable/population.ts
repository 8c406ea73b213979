import { targetLogprobs, winRates } from '../claims.js';
import type { ObjectiveInput, RowKind } from '../input.js';
import { countTotals } from '../input.js';
import { sigmoid } from '../numerics.js';
import type { Objective } from '../objective.js';
import { randomInput, seeded, unitRows } from '../testing/random.js';
import { takeUnits } from '../testing/rows.js';
import { expectation, sequenceLogprobs, type TablePolicy } from './policy.js';
import { gridOf, pullback, scoresOf, type TableActorCritic } from './scores.js';
import type { EnumerableWorld } from './world.js';

/**
 * Every unit of rows there can be (each completion, each ordered pair, each group), with its probability: an objective's
 * expected loss and gradient are sums over it, without sampling.
 */
export interface Population {
  /** Completion of each row. */
  readonly rows: Int32Array;
  /** [units]: probability of each unit. */
  readonly weights: Float64Array;
  /** [rows]: 1 desirable, 0 undesirable; absent where rows have no sides. */
  readonly labels?: Uint8Array;
  /** [rows]: place in its group's ranking, 0 the best; absent where groups are not ranked. */
  readonly ranks?: Int32Array;
  /** [rows]: 1 on completions of the data, 0 on the policy's own; absent where rows are of one kind. */
  readonly external?: Uint8Array;
}

export interface PopulationOptions {
  /** [completions]: log-probabilities rows are drawn with. Default: the world's own. */
  readonly sampling?: Float64Array;
  /** Share of preferences turned round. */
  readonly labelNoise?: number;
  /** Groups come in every order, as a judge ranks them: the best first, each drawn before the rest. Plackett 1975. */
  readonly rankedGroups?: boolean;
  /**
   * Single rows come from two sides, each with half of its own mean: own ones drawn with `sampling`, and completions of the
   * data, drawn as the world has it, with the label of one comparison.
   */
  readonly ownAndExternal?: boolean;
}

/**
 * All units of a kind. Pairs are two independent draws, the preferred one chosen by Bradley and Terry 1952; a label is the
 * outcome of one such comparison with a draw that is not kept; groups are independent draws.
 */
export function populationOf(
  kind: RowKind,
  world: EnumerableWorld,
  { sampling = world.sampling, labelNoise = 0, rankedGroups = false, ownAndExternal = false }: PopulationOptions = {},
): Population {
  const { rewards } = world;
  const mass = sampling.map(Math.exp);
  const all = [...mass.keys()].filter((i) => mass[i]! > 0);
  const preferred = (i: number, j: number) => {
    const clean = sigmoid(rewards[i]! - rewards[j]!);
    return (1 - labelNoise) * clean + labelNoise * (1 - clean);
  };
  switch (kind) {
    case 'single':
      return ownAndExternal
        ? mixed(populationOf('unpaired', world, { labelNoise }), populationOf('single', world, { sampling }))
        : population(all.map((i) => ({ rows: [i], weight: mass[i]! })));
    case 'pairs':
      // Both orders of two different draws are the same pair: twice the mass.
      return population(
        all.flatMap((i) => all.map((j) => ({ rows: [i, j], weight: 2 * mass[i]! * mass[j]! * preferred(i, j) }))),
        (row) => 1 - (row % 2),
      );
    case 'unpaired': {
      const wins = all.map((i) => all.reduce((sum, j) => sum + mass[j]! * preferred(i, j), 0));
      return population(
        all.flatMap((i, at) => [
          { rows: [i], weight: mass[i]! * wins[at]! },
          { rows: [i], weight: mass[i]! * (1 - wins[at]!) },
        ]),
        (row) => 1 - (row % 2),
      );
    }
    case 'groups':
      return rankedGroups
        ? rankings(all, unitRows.groups, mass, rewards)
        : population(groupsOf(all, unitRows.groups, mass));
  }
}

interface Unit {
  readonly rows: readonly number[];
  readonly weight: number;
}

function population(units: readonly Unit[], label?: (row: number) => number): Population {
  const rows = Int32Array.from(units.flatMap((unit) => unit.rows));
  const sum = units.reduce((so, { weight }) => so + weight, 0);
  return {
    rows,
    weights: Float64Array.from(units, ({ weight }) => weight / sum),
    ...(label && { labels: Uint8Array.from(rows, (_, row) => label(row)) }),
  };
}

/** Rows of the data before the policy's own. An objective divides each side by its rows, so their weights are in that ratio. */
function mixed(external: Population, own: Population): Population {
  const share = external.rows.length / (external.rows.length + own.rows.length);
  return {
    rows: Int32Array.of(...external.rows, ...own.rows),
    weights: Float64Array.of(
      ...external.weights.map((weight) => share * weight),
      ...own.weights.map((weight) => (1 - share) * weight),
    ),
    labels: Uint8Array.of(...(external.labels ?? []), ...own.rows.map(() => 0)),
    external: Uint8Array.of(...external.rows.map(() => 1), ...own.rows.map(() => 0)),
  };
}

/** Draws in every order, times the probability that they are ranked so. */
function rankings(all: readonly number[], size: number, mass: Float64Array, rewards: Float64Array): Population {
  const extend = (rows: readonly number[], weight: number): Unit[] => {
    if (rows.length < size) return all.flatMap((i) => extend([...rows, i], weight * mass[i]!));
    const appeal = rows.map((row) => Math.exp(rewards[row]!));
    const order = appeal.reduce((p, own, at) => p * (own / appeal.slice(at).reduce((sum, x) => sum + x, 0)), 1);
    return [{ rows, weight: weight * order }];
  };
  const ranked = population(extend([], 1));
  return { ...ranked, ranks: Int32Array.from(ranked.rows, (_, row) => row % size) };
}

/** Draws with repetition, their order left aside: each multiset once, with the number of its orders in its weight. */
function groupsOf(all: readonly number[], size: number, mass: Float64Array): Unit[] {
  const extend = (rows: readonly number[], from: number, weight: number): Unit[] => {
    if (rows.length === size) return [{ rows, weight }];
    return all.slice(from).flatMap((i, offset) => {
      const times = rows.filter((row) => row === i).length + 1;
      return extend([...rows, i], from + offset, (weight * mass[i]! * (rows.length + 1)) / times);
    });
  };
  return extend([], 0, 1);
}

interface Drawn extends Population {
  readonly constants: ObjectiveInput;
}

/** How an objective is asked on a world. */
export interface Setting {
  readonly objective: Objective;
  readonly options?: Readonly<Record<string, unknown>>;
  readonly world: EnumerableWorld;
  /**
   * Rows are drawn from the policy itself, which is then also the old one. Default: if the objective reads old scores or
   * advantages, or tells its own rows from external ones.
   */
  readonly onPolicy?: boolean;
  readonly labelNoise?: number;
  /** All rows of a group are the policy's own: `perRow.external` is 0. */
  readonly ownRows?: boolean;
  /** Units of the step that stands for a population where an objective is not separable. Default 64. */
  readonly step?: number;
  /** Draws what a row brings along and the world does not settle. */
  readonly seed?: number;
}

/** Whether a setting draws its rows from the policy. */
export function isOnPolicy({ objective, options, onPolicy }: Setting): boolean {
  const { old = [], perToken = [], perRow = [] } = objective.needsOf(options);
  const mixes = objective.rows === 'single' && perRow.includes('external');
  return onPolicy ?? (old.length > 0 || perToken.includes('advantages') || mixes);
}

/** An objective over a whole population, as a function of the policy. */
export interface ExpectedObjective {
  /**
   * Expected loss. What the objective takes for constant (stopped scores, the old policy, whom rows are drawn from) is
   * read at `frozen`, which is the policy unless a difference is taken.
   */
  loss(policy: TablePolicy, frozen?: TablePolicy): number;
  /** Expected gradient at the logits, through the cotangents; `frozen` as above. */
  gradient(policy: TablePolicy, frozen?: TablePolicy): Float64Array;
}

/**
 * The expectation of an objective over all units of rows. A separable objective is evaluated on every unit, weighted by
 * its probability. One that is not gets a step made of the likeliest units, each as often as its probability says.
 */
export function expectedObjective(setting: Setting): ExpectedObjective {
  const { objective, options, world, labelNoise } = setting;
  const onPolicy = isOnPolicy(setting);
  const { perRow = [] } = objective.needsOf(options);
  const draw = (frozen: TablePolicy): Drawn => {
    const sampling = onPolicy ? sequenceLogprobs(frozen) : world.sampling;
    const all = populationOf(objective.rows, world, {
      sampling,
      rankedGroups: perRow.includes('ranks'),
      ownAndExternal: perRow.includes('external'),
      ...(labelNoise !== undefined && { labelNoise }),
    });
    const taken = objective.separable ? all : repeated(all, unitRows[objective.rows], setting.step);
    return { ...taken, constants: constantsOf(setting, taken) };
  };
  const fixed = onPolicy ? undefined : draw(world.referencePolicy);
  return {
    loss(policy, frozen = policy) {
      const drawn = fixed ?? draw(frozen);
      const input = inputOf(setting, drawn, policy, frozen);
      if (!objective.separable) return objective.evaluate(input, options).loss;
      const totals = countTotals(objective.rows, input);
      const { weights } = drawn;
      return weights.reduce((sum, weight, unit) => {
        const alone = { ...takeUnits(input, objective.rows, [unit]), totals };
        return sum + weight * weights.length * objective.evaluate(alone, options).loss;
      }, 0);
    },
    gradient(policy, frozen = policy) {
      const drawn = fixed ?? draw(frozen);
      const input = inputOf(setting, drawn, policy, frozen);
      const { cotangents } = objective.evaluate(input, options);
      const { weights, rows } = drawn;
      const cellsOfUnit = input.tokens * unitRows[objective.rows];
      const weighed = Object.fromEntries(
        Object.entries(cotangents).map(([name, values]) => [
          name,
          objective.separable
            ? values?.map((value, at) => value * weights[Math.floor(at / cellsOfUnit)]! * weights.length)
            : values,
        ]),
      );
      return pullback(policy, rows, weighed, world.referencePolicy).logits;
    },
  };
}

/** Units of the step that stands for a population. */
const STEP = 64;

/** Each unit about as often as `step` times its weight, in an order that is not that of the completions. */
function repeated({ rows, weights, labels, ranks, external }: Population, size: number, step = STEP): Population {
  let carried = 0;
  const units = [...weights].flatMap((weight, unit) => {
    const due = carried + weight * step;
    const times = Math.floor(due + 0.5);
    carried = due - times;
    return Array.from({ length: Math.max(0, times) }, () => unit);
  });
  const take = (values: ArrayLike<number>) =>
    units.flatMap((unit) => Array.from({ length: size }, (_, offset) => values[unit * size + offset]!));
  return {
    rows: Int32Array.from(take(rows)),
    ...(labels && { labels: Uint8Array.from(take(labels)) }),
    ...(ranks && { ranks: Int32Array.from(take(ranks)) }),
    ...(external && { external: Uint8Array.from(take(external)) }),
    weights: new Float64Array(units.length).fill(1 / units.length),
  };
}

/** The rows of a population as an objective reads them, but for what moves with the policy. */
function constantsOf(
  { objective, options, world, ownRows = false, seed = 1 }: Setting,
  { rows, labels, ranks, external }: Population,
): ObjectiveInput {
  const needs = objective.needsOf(options);
  const { space, referencePolicy, rewards } = world;
  const units = rows.length / unitRows[objective.rows];
  // What the world does not know of a row is drawn, the same for every policy.
  const drawn = randomInput(objective, needs, seeded(seed), { units, tokens: space.length });
  const judged =
    objective.claims?.(objective.resolveOptions(options)).rewardsAre === 'win-rates' ? winRates(world) : rewards;
  const mean = expectation(world.sampling, judged);
  const perRow = Float64Array.from(rows, (row) => judged[row]!);
  const target = targetLogprobs(world);
  const perToken = new Float64Array(rows.length * space.length);
  perRow.forEach((reward, row) => {
    perToken.fill(reward - mean, row * space.length, (row + 1) * space.length);
  });
  return {
    ...drawn,
    ...gridOf(space, rows),
    reference: scoresOf(referencePolicy, rows, needs.reference),
    perRow: {
      ...drawn.perRow,
      ...(labels && { labels }),
      ...(ranks && { ranks }),
      ...(external && { external }),
      ...(ownRows && { external: new Uint8Array(rows.length) }),
      targetLogScores: Float64Array.from(rows, (row) => target[row]!),
      rewards: perRow,
    },
    perToken: {
      ...drawn.perToken,
      advantages: perToken,
      returns: perToken,
      promptTokens: new Float64Array(perToken.length),
    },
  };
}

/** Those rows as policies score them. */
function inputOf(
  { objective, options, world: { space, referencePolicy } }: Setting,
  { constants, rows }: Drawn,
  policy: TableActorCritic,
  frozen: TableActorCritic,
): ObjectiveInput {
  const needs = objective.needsOf(options);
  const batch = () => {
    const everything = Int32Array.from({ length: space.sequences }, (_, i) => i);
    return {
      ...gridOf(space, everything),
      policy: scoresOf(frozen, everything, needs.policy, referencePolicy),
      reference: scoresOf(referencePolicy, everything, needs.reference),
    };
  };
  const scores = scoresOf(policy, rows, needs.policy, referencePolicy);
  return {
    ...constants,
    policy: scores,
    stopped: frozen === policy ? scores : scoresOf(frozen, rows, needs.policy, referencePolicy),
    old: scoresOf(frozen, rows, needs.old ?? []),
    batches: Object.fromEntries((needs.batches ?? []).map((name) => [name, batch()])),
  };
}
