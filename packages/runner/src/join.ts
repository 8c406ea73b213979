import { addTotals, type Cotangents, type Grid, type RowKind, type ScoredBatch, type Scores } from '@kelpie/objectives';
import { gridOf, type Part, perRowOf, type ScoredTrees } from './rows.js';

/** Several parts as one, with the policy's scores of each: what an objective that is not separable sees. */
export function join(
  kind: RowKind,
  parts: readonly Part[],
  scores: readonly Scores[],
): { readonly part: Part; readonly scores: Scores } {
  const trees = parts.flatMap((part) => part.trees);
  const examples = parts.flatMap((part) => part.examples);
  const grid = gridOf(trees);
  const totals = addTotals(parts.map((part) => part.totals));
  const reference = widen(
    grid,
    parts,
    parts.map((part) => part.reference),
  );
  const perRow = perRowOf(kind, examples);
  const perToken = widen(
    grid,
    parts,
    parts.map((part) => part.perToken),
  );
  const rollouts = parts.every((part) => part.old !== undefined);
  const old = rollouts && {
    old: widen(
      grid,
      parts,
      parts.map((part) => part.old!),
    ),
  };
  const part = { ...grid, trees, examples, perRow, perToken, reference, ...old, totals };
  return { part, scores: widen(grid, parts, scores) };
}

/** Rows of several parts under each other, with the scores of both models, as a batch that objectives read as constants. */
export function batchOf(parts: readonly ScoredTrees[], scores: readonly Scores[]): ScoredBatch {
  const grid = gridOf(parts.flatMap(({ trees }) => trees));
  const reference = parts.map((part) => part.reference);
  return { ...grid, policy: widen(grid, parts, scores), reference: widen(grid, parts, reference) };
}

/** Rows of several widths under each other, padded to the widest. Names that only some have are left out. */
function widen<Table extends { readonly [Name in keyof Table]?: Float64Array }>(
  { rows, tokens }: Grid,
  parts: readonly Grid[],
  tables: readonly Table[],
): Table {
  const names = Object.keys(tables[0] ?? {}) as (keyof Table)[];
  const shared = names.filter((name) => tables.every((table) => table[name] !== undefined));
  return Object.fromEntries(
    shared.map((name) => {
      const joined = new Float64Array(rows * tokens);
      let first = 0;
      parts.forEach((part, i) => {
        for (let row = 0; row < part.rows; row++) {
          const from = row * part.tokens;
          joined.set(tables[i]![name]!.subarray(from, from + part.tokens), (first + row) * tokens);
        }
        first += part.rows;
      });
      return [name, joined];
    }),
  ) as Table;
}

/** Cotangents of joined rows, for each of the parts. */
export function splitCotangents(cotangents: Cotangents, joined: Grid, parts: readonly Grid[]): Cotangents[] {
  let first = 0;
  return parts.map((part) => {
    const slices = Object.entries(cotangents).map(([name, values]) => {
      const slice = new Float64Array(part.rows * part.tokens);
      for (let row = 0; row < part.rows; row++) {
        const from = (first + row) * joined.tokens;
        slice.set(values.subarray(from, from + part.tokens), row * part.tokens);
      }
      return [name, slice];
    });
    first += part.rows;
    return Object.fromEntries(slices);
  });
}
