import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { type DataError, problemText } from './error.js';
import { type RawRow, readFiles, readRows } from './read.js';
import { collect, failureOf, scratch } from './testing/files.js';

const write = scratch();
const read = async (name: string, content: string | Uint8Array) => await collect(readRows(write(name, content)));
const brief = (rows: readonly RawRow[]) =>
  rows.map((row) => ('value' in row ? [row.where.line, row.value] : problemText(row.problem).replace(/^.*\//, '')));

describe('JSON lines', () => {
  it('skips a byte order mark, blank lines and carriage returns, and counts lines as an editor does', async () => {
    const rows = await read('a.jsonl', '\ufeff{"a":1}\r\n\r\n  \n{"a":2}\r\n{"a":3}');
    expect(brief(rows)).toEqual([
      [1, { a: 1 }],
      [4, { a: 2 }],
      [5, { a: 3 }],
    ]);
  });

  it('leaves line separators inside a string alone', async () => {
    expect(brief(await read('b.jsonl', '{"a":"x\u2028y\u2029z\u0085"}\n'))).toEqual([
      [1, { a: 'x\u2028y\u2029z\u0085' }],
    ]);
  });

  it('joins lines and characters that chunks of a stream cut apart', async () => {
    const row = { a: '€'.repeat(100_000) };
    const rows = await read('c.jsonl', `${JSON.stringify(row)}\n${JSON.stringify(row)}\n`);
    expect(brief(rows)).toEqual([
      [1, row],
      [2, row],
    ]);
  });

  it('says file, line and column of what is no JSON, and goes on', async () => {
    expect(brief(await read('d.jsonl', '{"a":1}\n{"a" 2}\n[1]\n"x"\nnull\n{"a":\n{"a":3}'))).toEqual([
      [1, { a: 1 }],
      'd.jsonl:2:6: expected a colon, received "2}"',
      'd.jsonl:3: expected an object, received a list of 1',
      'd.jsonl:4: expected an object, received "x"',
      'd.jsonl:5: expected an object, received null',
      'd.jsonl:6:6: expected a JSON value, received the end of the line',
      [7, { a: 3 }],
    ]);
  });

  it('refuses rows that nest too deeply, closed or not, and goes on', async () => {
    const open = '['.repeat(100_000);
    const rows = [`{"a":${open}`, `{"a":${open}${']'.repeat(100_000)}}`, '{"a":1}'];
    const refusal = 'expected at most 200 levels of lists and objects, received "[[[[[[[[[[[["';
    expect(brief(await read('deep.jsonl', rows.join('\n')))).toEqual([
      `deep.jsonl:1:205: ${refusal}`,
      `deep.jsonl:2:205: ${refusal}`,
      [3, { a: 1 }],
    ]);
    const deepest = `{"a":${'['.repeat(199)}${']'.repeat(199)}}`;
    expect(await read('deepest.jsonl', deepest)).toMatchObject([{ value: {} }]);
    expect(brief(await read('deep.json', `[{"a":1},\n${open}]`))).toEqual([
      [1, { a: 1 }],
      `deep.json:2:201: ${refusal}`,
    ]);
  });

  it('refuses bytes that are no UTF-8', async () => {
    const bytes = Buffer.concat([Buffer.from('{"a":"'), Buffer.from([0xe9]), Buffer.from('"}\n{"a":1}\n')]);
    expect(brief(await read('e.jsonl', bytes))).toEqual([
      'e.jsonl:1: expected text in UTF-8, received other bytes',
      [2, { a: 1 }],
    ]);
  });

  it('unzips', async () => {
    expect(brief(await read('f.jsonl.gz', gzipSync('{"a":1}\n{"a":2}\n')))).toEqual([
      [1, { a: 1 }],
      [2, { a: 2 }],
    ]);
  });
});

describe('JSON', () => {
  it('is a list of rows, each on the line it begins on', async () => {
    const text = JSON.stringify([{ a: '}' }, { a: [1, { b: 2 }] }, 3], undefined, 2);
    expect(brief(await read('a.json', text))).toEqual([
      [2, { a: '}' }],
      [5, { a: [1, { b: 2 }] }],
      'a.json:13: expected an object, received 3',
    ]);
  });

  it('may be lines all the same', async () => {
    expect(brief(await read('b.json', '{"a":1}\n{"a":2}'))).toEqual([
      [1, { a: 1 }],
      [2, { a: 2 }],
    ]);
  });

  it('gives the rows before a fault, and its place', async () => {
    expect(brief(await read('c.json', '[\n  {"a":1},\n  {"a":2,}\n]'))).toEqual([
      [2, { a: 1 }],
      'c.json:3:10: expected a string in double quotes, received "}\\n]"',
    ]);
  });
});

describe('files', () => {
  it('are read in order', async () => {
    const files = [write('2.jsonl', '{"a":2}'), write('1.jsonl', '{"a":1}')];
    expect((await collect(readFiles(files))).map((row) => 'value' in row && row.value.a)).toEqual([2, 1]);
  });

  it('of other types are refused, as are those that are missing', async () => {
    const other = await failureOf<DataError>(collect(readRows(write('a.csv', 'a,b'))));
    expect(other).toMatchObject({ code: 'unknown-file-type', received: '.csv' });
    for (const name of ['nowhere.jsonl', 'nowhere.json', 'nowhere.jsonl.gz'])
      expect(await failureOf<DataError>(collect(readRows(name)))).toMatchObject({
        code: 'unreadable-file',
        received: 'ENOENT',
      });
  });

  it('that are missing were named twice in one line', async () => {
    const says = async (file: string) => (await failureOf<DataError>(collect(readRows(file)))).message.split('\n')[0];
    expect(await says('nowhere.jsonl')).toBe('Cannot read nowhere.jsonl: no such file or directory.');
    const folder = dirname(write('inside.jsonl', ''));
    mkdirSync(join(folder, 'folder.jsonl'));
    const path = join(folder, 'folder.jsonl');
    expect(await says(path)).toBe(`Cannot read ${path}: illegal operation on a directory.`);
    const torn = write('torn.jsonl.gz', 'no gzip');
    expect(await says(torn)).toBe(`Cannot read ${torn}: incorrect header check.`);
  });

  it('stop when told to', async () => {
    const signal = AbortSignal.abort(new Error('enough'));
    const error = await failureOf(collect(readRows(write('a.jsonl', '{"a":1}'), { signal })));
    expect(error.message).toBe('enough');
  });
});
