import { DataError } from './error.js';
import * as all from './formats/index.js';
import type { RawRow } from './read.js';
import type { Format, JsonObject, Row, RowKind } from './row.js';

/** Every format, by name. */
export const formats: ReadonlyMap<string, Format> = new Map(Object.values(all).map((format) => [format.name, format]));

/** How many rows detection looks at. */
export const sampleRows = 100;

function list(items: readonly string[]): string {
  return items.map((item) => `\`${item}\``).join(', ');
}

function wanted(candidates: readonly Format[]): string {
  return candidates.map(({ name, wants }) => `  ${name}: ${wants}`).join('\n');
}

/** The format of that name, if rows of that kind can come out of it. */
export function formatNamed(name: string, kinds: readonly RowKind[]): Format {
  const candidates = [...formats.values()].filter(({ kind }) => kinds.includes(kind));
  const found = candidates.find((format) => format.name === name);
  if (found !== undefined) return found;
  throw new DataError(`There is no format \`${name}\` for such rows.`, {
    code: 'unknown-format',
    expected: candidates.map((format) => format.name).join(', '),
    received: name,
    remedy: `The formats are:\n${wanted(candidates)}`,
  });
}

function keysOf(samples: readonly JsonObject[]): string[] {
  return [...new Set(samples.flatMap((sample) => Object.keys(sample)))].sort();
}

/** Of rows that match no format of these kinds: the formats of other kinds that they do match. */
function otherwise(samples: readonly JsonObject[], kinds: readonly RowKind[]): string {
  const others = [...formats.values()].filter(
    ({ kind, matches }) => !kinds.includes(kind) && samples.some((sample) => matches(sample)),
  );
  if (others.length === 0) return '';
  return ` The rows look like ${list(others.map(({ name }) => name))}, which is of another kind.`;
}

/**
 * The one format that most of the first rows match; a few broken ones among them don't hide it. Only formats of the
 * wanted kinds are asked, so a file with pairs and whole conversations side by side serves either use.
 */
export function detectFormat(raw: readonly RawRow[], kinds: readonly RowKind[]): Format<Row> {
  const samples = raw.flatMap((row) => ('value' in row ? [row.value] : []));
  const where = raw.find((row) => 'value' in row)?.where;
  const candidates = [...formats.values()].filter(({ kind }) => kinds.includes(kind));
  const matching = candidates.filter(({ matches }) => samples.filter(matches).length * 2 > samples.length);
  const [format, ...others] = matching;
  if (format !== undefined && others.length === 0) return format;
  const keys = list(keysOf(samples));
  const at = where === undefined ? {} : { where };
  if (format === undefined)
    throw new DataError(
      `No format fits the rows of ${where?.file ?? 'the files'}: their columns are ${keys}.${otherwise(samples, kinds)}`,
      {
        code: 'unknown-format',
        expected: candidates.map(({ wants }) => wants).join('; or '),
        received: keys,
        remedy: `Rename columns with \`columns\`, for instance { prompt: 'question' }, to what one of these wants:\n${wanted(candidates)}`,
        ...at,
      },
    );
  throw new DataError(
    `More than one format fits the rows of ${where?.file ?? 'the files'}: ${list(matching.map(({ name }) => name))}; their columns are ${keys}.`,
    {
      code: 'ambiguous-format',
      expected: 'rows of one format',
      received: keys,
      remedy: `Say which with \`format\`:\n${wanted(matching)}`,
      ...at,
    },
  );
}
