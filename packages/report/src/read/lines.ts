import { createReadStream } from 'node:fs';
import { StringDecoder } from 'node:string_decoder';
import { ReportError } from '../error.js';

/** A row of a file of JSON lines, with its place, `file:line`. */
export interface JsonRow {
  readonly row: Readonly<Record<string, unknown>>;
  readonly place: string;
}

/**
 * Rows of a file of JSON lines, one at a time: the file may be larger than memory. A last line without its end that is no JSON
 * yet was cut off, or is being written: it is told to `onCut` and left out. Any other line that is no object is an error.
 */
export async function* jsonRows(file: string, onCut: (place: string) => void): AsyncGenerator<JsonRow> {
  let number = 0;
  for await (const { text, ended } of lines(file)) {
    number++;
    if (text.trim() === '') continue;
    const place = `${file}:${number}`;
    const row = parsed(text);
    if (row !== undefined) yield { row, place };
    else if (ended) throw new ReportError(`${place}: expected an object in JSON, got \`${text.slice(0, 60)}\``);
    else onCut(place);
  }
}

/** Split at line feeds alone: JSON may hold what else counts as the end of a line, U+2028 for one. */
async function* lines(file: string): AsyncGenerator<{ readonly text: string; readonly ended: boolean }> {
  const decoder = new StringDecoder('utf8');
  let rest = '';
  for await (const chunk of createReadStream(file)) {
    const parts = decoder.write(chunk as Buffer).split('\n');
    parts[0] = rest + parts[0]!;
    rest = parts.pop()!;
    for (const text of parts) yield { text, ended: true };
  }
  rest += decoder.end();
  if (rest !== '') yield { text: rest, ended: false };
}

function parsed(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isRecord(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The number of a field. JSON has none that is not finite: `null` stands for it, and comes back as NaN. */
export function numberIn({ row, place }: JsonRow, key: string): number {
  const value = row[key];
  if (value === null) return Number.NaN;
  if (typeof value === 'number') return value;
  throw new ReportError(`${place}: \`${key}\`: expected a number, got ${JSON.stringify(value) ?? 'nothing'}`);
}

export function stepIn(row: JsonRow): number {
  const step = numberIn(row, 'step');
  if (Number.isInteger(step) && step >= 0) return step;
  throw new ReportError(`${row.place}: \`step\`: expected a count, got ${JSON.stringify(row.row.step)}`);
}

export function textIn({ row, place }: JsonRow, key: string): string {
  const value = row[key];
  if (typeof value === 'string') return value;
  throw new ReportError(`${place}: \`${key}\`: expected a text, got ${JSON.stringify(value) ?? 'nothing'}`);
}
