import { describe, expect, it } from 'vitest';
import { loadPreferences, loadText, loadUnpaired } from '../dataset.js';
import { detectFormat, formats } from '../detect.js';
import { type DataError, problemText } from '../error.js';
import { readRows } from '../read.js';
import type { Format, JsonObject, Row } from '../row.js';
import { collect, failureOf, lines, scratch } from './files.js';
import { toyTokenizer } from './toy-tokenizer.js';

export interface FormatFixture<R extends Row> {
  readonly format: Format<R>;
  /** Five rows, one of them broken. */
  readonly rows: readonly JsonObject[];
  /** Which one, from 0, and what is said of it, without `file:line`. */
  readonly broken: number;
  readonly says: string;
  /** The first row, parsed. */
  readonly first: Omit<R, 'id' | 'where' | 'kind' | 'extra'>;
  /** Columns of the first row that it hands on. */
  readonly extra?: JsonObject;
}

/** What every format must do: find itself, parse what is whole, and name file, line and field of what is broken. */
export function testFormat<R extends Row>({ format, rows, broken, says, first, extra = {} }: FormatFixture<R>): void {
  describe(`format ${format.name}`, () => {
    const write = scratch();
    const tokenizer = toyTokenizer();
    const load = { pair: loadPreferences, labelled: loadUnpaired, completion: loadText, text: loadText }[format.kind];
    const options = { tokenizer, maxLength: 1000 };

    it('has five rows to show', () => expect(rows).toHaveLength(5));

    it('is found by the rows, and by no other format of its kind', async () => {
      const raw = await collect(readRows(write('found.jsonl', lines(rows))));
      expect(detectFormat(raw, [format.kind])).toBe(format);
      for (const other of formats.values())
        if (other.kind === format.kind && other !== format) expect(rows.some(other.matches), other.name).toBe(false);
    });

    it('parses the first row', () => {
      const where = { file: 'rows.jsonl', line: 1 };
      expect(format.parse(rows[0] as JsonObject, where)).toEqual({
        row: { kind: format.kind, id: 'rows.jsonl:1', where, extra, ...first },
      });
    });

    it('names file, line and field of the broken row', async () => {
      const file = write('broken.jsonl', lines(rows));
      const error = await failureOf<DataError>(load({ ...options, files: [file] }));
      expect(error.code).toBe('bad-rows');
      expect(error.problems.map(problemText)).toEqual([`${file}:${broken + 1} ${says}`]);
    });

    it('drops the broken row when asked, and keeps the others', async () => {
      const { examples, report } = await load({
        ...options,
        files: [write('drop.jsonl', lines(rows))],
        onBadRow: 'drop',
      });
      expect(examples.map(({ where }) => where.line - 1)).toEqual([0, 1, 2, 3, 4].filter((i) => i !== broken));
      expect(Object.values(report.dropped)).toEqual([1]);
    });
  });
}
