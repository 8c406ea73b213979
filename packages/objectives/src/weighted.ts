import { ObjectiveError } from './errors.js';
import type { Cotangents, Needs, ObjectiveInput, ObjectiveState, RowKind, ScoreName, Scores } from './input.js';
import { defineObjective, type Evaluation, type Objective } from './objective.js';

/** One part of a mixture, with its own options. */
export interface Term {
  readonly objective: Objective;
  readonly options?: Readonly<Record<string, unknown>>;
  readonly weight: number;
}

/**
 * A weighted sum of objectives as one objective, options bound; the weights are not normalised. Mixed preference
 * optimisation is one: Wang et al. 2024, arXiv:2411.10442.
 *   L = Σ_k weight_k L_k;   dL/dscore = Σ_k weight_k dL_k/dscore
 * All terms are on the same kind of rows, but for one case: among terms on pairs, one on single rows takes the chosen
 * side, as the likelihood term of a preference loss does. A metric that several terms log is the first one's; terms on
 * one side only log none. A weight of 0 keeps a term's metrics. `details`: `parts` [terms], each term's loss without its
 * weight.
 */
export function weighted(terms: readonly Term[]): Objective {
  const bound = terms.map(({ objective, options, weight }) => ({
    objective,
    weight,
    options: objective.resolveOptions(options),
    needs: objective.needsOf(options),
  }));
  const name = bound
    .map(({ objective, weight, options }) => `${weight} ${objective.name} ${JSON.stringify(options)}`)
    .join(' + ');
  const kind = kindOf(terms);
  return defineObjective({
    name,
    title: 'Weighted sum',
    summary: `Pulls by several objectives at once: ${terms.map(({ objective }) => objective.name).join(', ')}.`,
    paper: [...new Set(terms.map(({ objective }) => objective.paper))].join('; '),
    rows: kind,
    separable: terms.every(({ objective }) => objective.separable),
    linear: terms.every(({ objective }) => objective.linear === true),
    detached: [...new Set(terms.flatMap(({ objective }) => objective.detached ?? []))],
    state: Object.fromEntries(
      terms.flatMap(({ objective }, term) =>
        Object.entries(objective.state ?? {}).map(([key, value]) => [stateName(term, key), value]),
      ),
    ),
    needs: unionOf(bound.map(({ needs }) => needs)),
    options: {},
    atReference: () =>
      bound.reduce<number | undefined>((sum, { objective, options, weight }) => {
        const known = weight === 0 ? 0 : objective.atReference?.(options);
        return sum === undefined || known === undefined ? undefined : sum + weight * known;
      }, 0),
    evaluate(input) {
      const evaluations = bound.map(({ objective, options, weight }, term) => {
        const oneSided = objective.rows !== kind;
        const state = stateOf(objective, term, input);
        const part = objective.evaluate({ ...(oneSided ? chosenSide(input) : input), state }, options);
        const { loss, cotangents } = oneSided ? { ...part, cotangents: onChosenSide(part.cotangents, input) } : part;
        const next = Object.entries(part.state ?? {}).map(([key, value]) => [stateName(term, key), value]);
        return { loss, cotangents, weight, metrics: oneSided ? {} : part.metrics, state: Object.fromEntries(next) };
      });
      return {
        loss: evaluations.reduce((sum, { loss, weight }) => sum + weight * loss, 0),
        metrics: Object.assign({}, ...evaluations.map(({ metrics }) => metrics).toReversed()),
        cotangents: sumOf(evaluations),
        details: { parts: Float64Array.from(evaluations, ({ loss }) => loss) },
        state: Object.assign({}, ...evaluations.map(({ state }) => state)),
      };
    },
  });
}

/** A term's own state among those of all. */
const stateName = (term: number, key: string) => `${term}.${key}`;

function stateOf({ state = {} }: Objective, term: number, { state: all = {} }: ObjectiveInput): ObjectiveState {
  return Object.fromEntries(Object.keys(state).map((key) => [key, all[stateName(term, key)]!]));
}

function kindOf(terms: readonly Term[]): RowKind {
  const expect = (holds: boolean, expected: string, received: string) => {
    if (!holds)
      throw new ObjectiveError([{ code: 'invalid-option', where: { objective: 'weighted' }, expected, received }]);
  };
  expect(terms.length > 0, 'at least one term', 'none');
  for (const { weight } of terms) expect(Number.isFinite(weight), 'finite weights', `${weight}`);
  const kinds = new Set(terms.map(({ objective }) => objective.rows));
  const pairs = kinds.has('pairs') && [...kinds].every((kind) => kind === 'pairs' || kind === 'single');
  expect(pairs || kinds.size === 1, 'terms on the same kind of rows', [...kinds].join(' and '));
  return pairs ? 'pairs' : terms[0]!.objective.rows;
}

function unionOf(all: readonly Needs[]): Needs {
  const union = <Name>(list: (needs: Needs) => readonly Name[] | undefined) => [
    ...new Set(all.flatMap((needs) => list(needs) ?? [])),
  ];
  return {
    policy: union((needs) => needs.policy),
    reference: union((needs) => needs.reference),
    old: union((needs) => needs.old),
    perRow: union((needs) => needs.perRow),
    perToken: union((needs) => needs.perToken),
    batches: union((needs) => needs.batches),
  };
}

type Cells = Float64Array | Uint8Array | Int32Array;

/** The even rows of pairs as single rows. */
export function chosenSide(input: ObjectiveInput): ObjectiveInput {
  const rows = input.rows / 2;
  const take = <Kept extends Cells>(values: Kept, width: number): Kept => {
    const taken = values.slice(0, rows * width) as Kept;
    for (let row = 0; row < rows; row++)
      taken.set(values.subarray(2 * row * width, (2 * row + 1) * width), row * width);
    return taken;
  };
  const table = <Table extends object>(values: Table | undefined, width: number): Table =>
    Object.fromEntries(
      Object.entries(values ?? {}).map(([name, cells]) => [name, take(cells as Cells, width)]),
    ) as Table;
  const { tokens, totals } = input;
  return {
    rows,
    tokens,
    completionMask: take(input.completionMask, tokens),
    policy: table(input.policy, tokens),
    reference: table(input.reference, tokens),
    old: table(input.old, tokens),
    ...(input.stopped && { stopped: table(input.stopped, tokens) }),
    perRow: table(input.perRow, 1),
    perToken: table(input.perToken, tokens),
    // A step's counts do not tell how many chosen completions are empty: all are taken to hold a token.
    ...(totals && {
      totals: { ...totals, rows: totals.groups, nonEmptyRows: totals.groups, scoredTokens: totals.chosenTokens },
    }),
  };
}

/** Back onto the rows of the pairs: 0 on the rejected ones. */
export function onChosenSide(
  cotangents: Cotangents,
  { rows, tokens }: Pick<ObjectiveInput, 'rows' | 'tokens'>,
): Cotangents {
  const spread = (values: Float64Array) => {
    const all = new Float64Array(rows * tokens);
    for (let row = 0; row < rows; row += 2) {
      all.set(values.subarray((row / 2) * tokens, (row / 2 + 1) * tokens), row * tokens);
    }
    return all;
  };
  return Object.fromEntries(Object.entries(cotangents).map(([name, values]) => [name, spread(values)]));
}

function sumOf(parts: readonly (Pick<Evaluation, 'cotangents'> & { readonly weight: number })[]): Scores {
  const sums: { -readonly [Name in keyof Scores]: Scores[Name] } = {};
  for (const { cotangents, weight } of parts) {
    for (const [name, values] of Object.entries(cotangents) as [ScoreName, Float64Array][]) {
      sums[name] ??= new Float64Array(values.length);
      const sum = sums[name];
      values.forEach((value, at) => {
        sum[at]! += weight * value;
      });
    }
  }
  return sums;
}
