import { type Finding, type FindingCode, finding } from './findings.js';
import type { LabelledRow, PairRow, Row } from './row.js';

/** Rows whose completion is wanted, and those whose completion is not. */
export interface LabelCounts {
  readonly wanted: number;
  readonly unwanted: number;
}

const isLabelled = (row: Row): row is LabelledRow => row.kind === 'labelled';
const isPair = (row: Row): row is PairRow => row.kind === 'pair';

export function labelCounts(rows: readonly Row[]): LabelCounts {
  const labelled = rows.filter(isLabelled);
  const wanted = labelled.filter(({ desirable }) => desirable).length;
  return { wanted, unwanted: labelled.length - wanted };
}

/** How many of one label to one of the other begin to drown it. */
const uneven = 4;

/** What labels teach by their numbers: one alone, or far more of one than of the other. */
export function labelFindings(rows: readonly Row[]): Finding[] {
  const { wanted, unwanted } = labelCounts(rows);
  const of = wanted + unwanted;
  if (of === 0) return [];
  const detail = `${wanted} wanted, ${unwanted} not`;
  const most = Math.max(wanted, unwanted);
  if (most === of) return [finding('one-label', { count: of, of, where: rows.map(({ where }) => where), detail })];
  if (most <= uneven * (of - most)) return [];
  // What balances the sides, as the authors of KTO advise.
  const ratio = (most / (of - most)).toFixed(1);
  const rarer = wanted < unwanted ? 'desirableWeight' : 'undesirableWeight';
  return [
    finding('uneven-labels', {
      count: most,
      of,
      where: [],
      detail: `${detail}; \`${rarer}\` ${ratio} would balance them`,
    }),
  ];
}

/** Columns beside pairs that reward models read, where some row has them. */
export function markFindings(rows: readonly Row[]): Finding[] {
  const pairs = rows.filter(isPair);
  const isNumber = (value: unknown) => typeof value === 'number' && Number.isFinite(value);
  const isMark = (value: unknown) => value === undefined || typeof value === 'boolean';
  return [...marks('margin', 'bad-margins', isNumber), ...marks('tie', 'bad-ties', isMark)];

  function marks(column: string, code: FindingCode, fits: (value: unknown) => boolean): Finding[] {
    if (!pairs.some(({ extra }) => extra[column] !== undefined)) return [];
    const wrong = pairs.filter(({ extra }) => !fits(extra[column]));
    if (wrong.length === 0) return [];
    return [finding(code, { count: wrong.length, of: pairs.length, where: wrong.map(({ where }) => where) })];
  }
}
