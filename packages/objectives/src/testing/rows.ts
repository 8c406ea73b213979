import { isDivergence, type ObjectiveInput, type RowKind, type Scores, scoresIn } from '../input.js';
import { unitRows } from './random.js';

type Cells = Float64Array | Uint8Array | Int32Array;

/** The input with every [rows, tokens] and [rows] array replaced. */
function mapArrays(
  input: ObjectiveInput,
  change: { readonly cells: <A extends Cells>(values: A) => A; readonly row: <A extends Cells>(values: A) => A },
): ObjectiveInput {
  const all = <Table extends object>(table: Table, map: <A extends Cells>(values: A) => A) =>
    Object.fromEntries(Object.entries(table).map(([name, values]) => [name, map(values as Cells)])) as Table;
  return {
    ...input,
    completionMask: change.cells(input.completionMask),
    policy: all(input.policy, change.cells),
    ...(input.reference && { reference: all(input.reference, change.cells) }),
    ...(input.old && { old: all(input.old, change.cells) }),
    ...(input.stopped && { stopped: all(input.stopped, change.cells) }),
    ...(input.perRow && { perRow: all(input.perRow, change.row) }),
    ...(input.perToken && { perToken: all(input.perToken, change.cells) }),
  };
}

/** The rows of some units (pairs, groups, single rows), in the order given. */
export function takeUnits(input: ObjectiveInput, kind: RowKind, units: readonly number[]): ObjectiveInput {
  const size = unitRows[kind];
  const rows = units.flatMap((unit) => Array.from({ length: size }, (_, offset) => unit * size + offset));
  const { tokens } = input;
  const take = <A extends Cells>(values: A, width: number): A => {
    const taken = values.slice(0, rows.length * width) as A;
    rows.forEach((row, at) => {
      taken.set(values.subarray(row * width, (row + 1) * width), at * width);
    });
    return taken;
  };
  return mapArrays(
    { ...input, rows: rows.length },
    { cells: (values) => take(values, tokens), row: (v) => take(v, 1) },
  );
}

/** The same rows with `extra` masked columns behind them. */
export function padTokens(input: ObjectiveInput, extra: number): ObjectiveInput {
  const { rows, tokens } = input;
  const pad = <A extends Cells>(values: A): A => {
    const padded = new (values.constructor as new (length: number) => A)(rows * (tokens + extra));
    for (let row = 0; row < rows; row++) {
      padded.set(values.subarray(row * tokens, (row + 1) * tokens), row * (tokens + extra));
    }
    return padded;
  };
  return mapArrays({ ...input, tokens: tokens + extra }, { cells: pad, row: (values) => values });
}

/** The input with `junk` in every masked entry of every score. */
export function fillMasked(input: ObjectiveInput, junk: (at: number) => number): ObjectiveInput {
  const fill = <A extends Cells>(values: A): A =>
    values instanceof Float64Array
      ? (values.map((value, at) => (input.completionMask[at] ? value : junk(at))) as A)
      : values;
  return mapArrays(input, { cells: fill, row: (values) => values });
}

/** Policy and old policy equal to the reference: the same log-probabilities, no divergence between them. */
export function atReference(input: ObjectiveInput): ObjectiveInput {
  const zeros = new Float64Array(input.rows * input.tokens);
  const like = (scores: Scores): Scores => ({
    ...scores,
    ...(scores.logprobs && { logprobs: input.reference?.logprobs ?? scores.logprobs }),
    ...Object.fromEntries(scoresIn(scores).flatMap((name) => (isDivergence(name) ? [[name, zeros]] : []))),
  });
  const batches = Object.fromEntries(
    Object.entries(input.batches ?? {}).map(([name, batch]) => [
      name,
      { ...batch, policy: { ...batch.policy, ...batch.reference } },
    ]),
  );
  return { ...input, policy: like(input.policy), ...(input.old && { old: like(input.old) }), batches };
}
