import { DataError, type Where } from './error.js';
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

/** What rows of a kind hold, and what reads them. */
const kindFacts: Readonly<Record<RowKind, { readonly holds: string; readonly readBy: string }>> = {
  pair: {
    holds: 'preference pairs',
    readBy: '`train dpo` and its like read preference pairs; with `side`, one completion of each is read as text.',
  },
  completion: { holds: 'prompts with a completion', readBy: '`train sft` reads prompts with a completion.' },
  labelled: {
    holds: 'completions with a label',
    readBy: '`train kto` and its like read completions with a label; `train sft` reads them without.',
  },
  text: { holds: 'text or conversations', readBy: '`train sft` reads text and conversations.' },
};

function holds(kinds: readonly RowKind[]): string {
  return [...new Set(kinds)].map((kind) => kindFacts[kind].holds).join(', or ');
}

/** Rows that are whole, but for another use: their columns need no other names. */
function otherKind(
  found: readonly Format[],
  kinds: readonly RowKind[],
  { where, subject }: { readonly where: Where | undefined; readonly subject: string },
): DataError {
  const came = found.map(({ kind }) => kind);
  return new DataError(
    `Expected ${holds(kinds)}, but ${subject} ${list(found.map(({ name }) => name))}: ${holds(came)}.`,
    {
      code: 'unknown-format',
      expected: holds(kinds),
      received: holds(came),
      remedy: [...new Set(came)].map((kind) => kindFacts[kind].readBy).join(' '),
      ...(where === undefined ? {} : { where }),
    },
  );
}

/** The format of that name, if rows of that kind can come out of it. */
export function formatNamed(name: string, kinds: readonly RowKind[]): Format {
  const format = formats.get(name);
  if (format !== undefined && kinds.includes(format.kind)) return format;
  if (format !== undefined) throw otherKind([format], kinds, { where: undefined, subject: 'the format asked for is' });
  const candidates = [...formats.values()].filter(({ kind }) => kinds.includes(kind));
  throw new DataError(`There is no format \`${name}\`.`, {
    code: 'unknown-format',
    expected: candidates.map((format) => format.name).join(', '),
    received: name,
    remedy: `The formats are:\n${wanted(candidates)}`,
  });
}

function keysOf(samples: readonly JsonObject[]): string[] {
  return [...new Set(samples.flatMap((sample) => Object.keys(sample)))].sort();
}

/**
 * The one format that most of the first rows match; a few broken ones among them don't hide it. Only formats of the
 * wanted kinds are asked, so a file with pairs and whole conversations side by side serves either use.
 */
export function detectFormat(raw: readonly RawRow[], kinds: readonly RowKind[]): Format<Row> {
  const samples = raw.flatMap((row) => ('value' in row ? [row.value] : []));
  const where = raw.find((row) => 'value' in row)?.where;
  const candidates = [...formats.values()].filter(({ kind }) => kinds.includes(kind));
  const fits = ({ matches }: Format) => samples.filter(matches).length * 2 > samples.length;
  const matching = candidates.filter(fits);
  const [format, ...others] = matching;
  if (format !== undefined && others.length === 0) return format;
  const keys = list(keysOf(samples));
  const at = where === undefined ? {} : { where };
  const foreign = [...formats.values()].filter((other) => !kinds.includes(other.kind) && fits(other));
  if (format === undefined && foreign.length > 0)
    throw otherKind(foreign, kinds, { where, subject: `the rows of ${where?.file ?? 'the files'} are in the format` });
  if (format === undefined)
    throw new DataError(`No format fits the rows of ${where?.file ?? 'the files'}: their columns are ${keys}.`, {
      code: 'unknown-format',
      expected: candidates.map(({ wants }) => wants).join('; or '),
      received: keys,
      remedy: `Rename columns with \`columns\`, for instance { prompt: 'question' }, to what one of these wants:\n${wanted(candidates)}`,
      ...at,
    });
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
