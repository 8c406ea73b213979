import { detectFormat, formatNamed, sampleRows } from './detect.js';
import { type RawRow, readRows } from './read.js';
import type { Format, JsonObject, RowKind } from './row.js';

export interface FileRows {
  /** None where no line is an object. */
  readonly format: Format | undefined;
  readonly rows: readonly RawRow[];
}

export interface FileRowsOptions {
  /** The name of a format. Default: the one that fits the first rows. */
  readonly format?: string | undefined;
  /** Columns under other names, renamed before the format is looked for. */
  readonly columns?: Readonly<Record<string, string>> | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** All rows of a file, with the format they are of. */
export async function fileRows(
  file: string,
  kinds: readonly RowKind[],
  { columns = {}, signal, format }: FileRowsOptions,
): Promise<FileRows> {
  const rows: RawRow[] = [];
  for await (const raw of readRows(file, { signal }))
    rows.push('value' in raw ? { ...raw, value: renamed(raw.value, columns) } : raw);
  if (!rows.some((raw) => 'value' in raw)) return { rows, format: undefined };
  return {
    rows,
    format: format === undefined ? detectFormat(rows.slice(0, sampleRows), kinds) : formatNamed(format, kinds),
  };
}

function renamed(value: JsonObject, columns: Readonly<Record<string, string>>): JsonObject {
  const result: Record<string, unknown> = { ...value };
  for (const from of Object.values(columns)) delete result[from];
  for (const [to, from] of Object.entries(columns)) if (value[from] !== undefined) result[to] = value[from];
  return result;
}
