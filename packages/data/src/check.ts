import { type LabelCounts, labelCounts, labelFindings, markFindings } from './check-labels.js';
import { type Dataset, loadPreferences, loadText, loadUnpaired } from './dataset.js';
import { DataError, type Problem, type Reason, type Where } from './error.js';
import { fileRows } from './file-rows.js';
import { type Finding, type FindingCode, finding } from './findings.js';
import type { ExampleFacts } from './load.js';
import type { DataReport } from './report.js';
import type { Content, Row, RowKind } from './row.js';
import type { TextTokenizer } from './tokenizer.js';
import type { Truncation } from './truncate.js';

export interface CheckOptions {
  readonly files: readonly string[];
  /** Without one, only the text is looked at. */
  readonly tokenizer?: TextTokenizer | undefined;
  /** Tokens a row may have. Default: no limit. */
  readonly maxLength?: number | undefined;
  readonly vocabularySize?: number | undefined;
  readonly format?: string | undefined;
  readonly columns?: Readonly<Record<string, string>> | undefined;
  readonly truncation?: Truncation | undefined;
  /** Rows that are to be evaluated on: those that also stand in `files` are told. */
  readonly heldout?: readonly string[] | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Of a length, over all usable rows, before any of them is cut. */
export interface Spread {
  readonly of: 'prompt' | 'chosen' | 'rejected' | 'completion' | 'row';
  readonly least: number;
  readonly median: number;
  readonly p90: number;
  readonly p99: number;
  readonly most: number;
}

/** What rows are read as: preferences, completions with a label, or text. */
export type CheckedKind = 'pairs' | 'labelled' | 'text';

/** What a look at rows came to, before anything is trained on them. */
export interface DataCheck {
  readonly files: DataReport['files'];
  readonly kind: CheckedKind;
  readonly rows: number;
  readonly usable: number;
  readonly unit: 'tokens' | 'characters';
  readonly lengths: readonly Spread[];
  /** Of pairs: share in which the chosen side is longer, and in which the rejected one is. */
  readonly longer?: { readonly chosen: number; readonly rejected: number };
  /** Of completions with a label. */
  readonly labels?: LabelCounts;
  /** Only with a tokenizer. */
  readonly tokens?: DataReport['tokens'];
  readonly findings: readonly Finding[];
}

/** A row and its sides as text, with lengths in tokens or characters. */
interface Looked {
  readonly where: Where;
  readonly prompt: number;
  readonly sides: readonly number[];
  /** Whether prompt and completion merge although only one of them has the space between them. */
  readonly mergesAnyhow?: boolean;
}

/** The doctor: reads rows as training would and says what is wrong with them, what it does and what to do about it. */
export async function checkData(options: CheckOptions): Promise<DataCheck> {
  const { files } = options;
  if (files.length === 0) {
    throw new DataError('There are no files to check.', {
      code: 'bad-option',
      expected: 'a list of at least one file',
      received: 'none',
      remedy: 'Name a file or more.',
    });
  }
  const { rows, problems, sources, kind } = await readAll(options);
  const total = sources.reduce((sum, source) => sum + source.rows, 0);
  const pairs = kind === 'pairs';
  const loaded = options.tokenizer === undefined ? undefined : await loadAll(options, options.tokenizer, kind);
  const looked = loaded?.looked ?? rows.map(inCharacters);
  const longer = pairs ? longerShares(looked) : undefined;
  const usable = looked.length;
  const base = {
    files: sources,
    kind,
    rows: total,
    usable,
    unit: loaded === undefined ? ('characters' as const) : ('tokens' as const),
    lengths: spreads(looked, pairs),
    ...(longer && { longer }),
    ...(kind === 'labelled' && { labels: labelCounts(rows) }),
    ...(loaded?.report && { tokens: loaded.report.tokens }),
  };
  const findings = [
    ...(usable > 0 ? [] : [finding('no-rows', { count: 0, of: total, where: [] })]),
    ...badRows(problems, total),
    ...repeats(rows, total),
    ...labelFindings(rows),
    ...markFindings(rows),
    ...(options.heldout === undefined ? [] : await heldoutCopies(rows, { ...options, files: options.heldout })),
    ...(longer === undefined || looked.length < 20 ? [] : lengthBias(longer, looked.length)),
    ...(loaded === undefined ? [] : notFitting(loaded.problems, total, options.truncation)),
    ...(loaded?.report === undefined ? [] : inTokens(loaded.report, looked)),
  ];
  const order = ['error', 'warning', 'note'];
  return { ...base, findings: findings.toSorted((a, b) => order.indexOf(a.severity) - order.indexOf(b.severity)) };
}

// --- reading -------------------------------------------------------------------------------------------------------

async function readAll({ files, ...options }: CheckOptions) {
  const rows: Row[] = [];
  const problems: Problem[] = [];
  const sources: { file: string; format: string; rows: number }[] = [];
  const kinds = await kindsOf(files, options);
  for (const file of files) {
    const { rows: raws, format } = await fileRows(file, kinds, options);
    sources.push({ file, format: format?.name ?? 'none', rows: raws.length });
    for (const raw of raws) {
      const parsed = 'problem' in raw ? { problems: [raw.problem] } : format!.parse(raw.value, raw.where);
      if ('row' in parsed) rows.push(parsed.row);
      else problems.push(...parsed.problems);
    }
  }
  return { rows, problems, sources, kind: kindNames[kinds[0]!] };
}

const readings: readonly (readonly RowKind[])[] = [['pair'], ['labelled'], ['completion', 'text']];
const kindNames = { pair: 'pairs', labelled: 'labelled', completion: 'text', text: 'text' } as const;

/** The first reading that the first file with rows fits; where it holds nothing known, everything it could hold is told. */
async function kindsOf(files: readonly string[], options: Omit<CheckOptions, 'files'>): Promise<readonly RowKind[]> {
  for (const file of files) {
    for (const kinds of readings) {
      const format = await formatOf(file, kinds, options);
      if (format === 'unknown') continue;
      if (format === undefined) break;
      return kinds;
    }
    await fileRows(file, readings.flat(), options);
  }
  return ['pair'];
}

async function formatOf(file: string, kinds: readonly RowKind[], options: Omit<CheckOptions, 'files'>) {
  try {
    return (await fileRows(file, kinds, options)).format;
  } catch (error) {
    if (error instanceof DataError && error.code === 'unknown-format') return 'unknown';
    throw error;
  }
}

async function loadAll(
  { files, maxLength = Number.MAX_SAFE_INTEGER, vocabularySize, format, columns, truncation, signal }: CheckOptions,
  tokenizer: TextTokenizer,
  kind: CheckedKind,
): Promise<{ looked: Looked[]; report: DataReport | undefined; problems: readonly Problem[] }> {
  const options = {
    files,
    tokenizer,
    maxLength,
    onBadRow: 'drop' as const,
    ...(vocabularySize !== undefined && { vocabularySize }),
    ...(format !== undefined && { format }),
    ...(columns !== undefined && { columns }),
    ...(truncation !== undefined && { truncation }),
    ...(signal !== undefined && { signal }),
  };
  try {
    const load = { pairs: loadPreferences, labelled: loadUnpaired, text: loadText }[kind];
    const { examples, report }: Dataset<Example> = await load(options);
    return { looked: examples.map(asLooked), report, problems: report.problems };
  } catch (error) {
    if (error instanceof DataError && error.code === 'no-rows')
      return { looked: [], report: undefined, problems: error.problems };
    throw error;
  }
}

type Example = Pick<ExampleFacts, 'where' | 'prompt' | 'lengths' | 'mergedTokens'> & {
  readonly [side in Side]?: string;
};
type Side = 'chosen' | 'rejected' | 'completion';

function asLooked({ where, prompt, lengths, mergedTokens, chosen, rejected, completion }: Example): Looked {
  const sides = [chosen, rejected, completion].filter((side) => side !== undefined);
  const apart = !/\s$/.test(prompt) && sides.every((side) => /^\s/.test(side));
  return { where, prompt: lengths.prompt, sides: lengths.completions, mergesAnyhow: mergedTokens > 0 && apart };
}

function inCharacters(row: Row): Looked {
  const length = (content: Content) =>
    typeof content === 'string' ? content.length : content.reduce((sum, turn) => sum + turn.content.length, 0);
  const { where } = row;
  if (row.kind === 'pair')
    return { where, prompt: length(row.prompt), sides: [length(row.chosen), length(row.rejected)] };
  if (row.kind === 'text') return { where, prompt: 0, sides: [length(row.text)] };
  return { where, prompt: length(row.prompt), sides: [length(row.completion)] };
}

// --- numbers -------------------------------------------------------------------------------------------------------

function spreads(looked: readonly Looked[], pairs: boolean): Spread[] {
  if (looked.length === 0) return [];
  const side = (i: number) => looked.map(({ sides }) => sides[i]!);
  const rows = looked.map(({ prompt, sides }) => prompt + Math.max(...sides));
  return [
    spread(
      'prompt',
      looked.map(({ prompt }) => prompt),
    ),
    ...(pairs ? [spread('chosen', side(0)), spread('rejected', side(1))] : [spread('completion', side(0))]),
    spread('row', rows),
  ];
}

function spread(of: Spread['of'], values: readonly number[]): Spread {
  const sorted = values.map(Math.round).sort((a, b) => a - b);
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)]!;
  return { of, least: sorted[0]!, median: at(0.5), p90: at(0.9), p99: at(0.99), most: sorted.at(-1)! };
}

function longerShares(looked: readonly Looked[]): { chosen: number; rejected: number } {
  const share = (longer: (chosen: number, rejected: number) => boolean) =>
    looked.filter(({ sides: [chosen = 0, rejected = 0] }) => longer(chosen, rejected)).length /
    Math.max(1, looked.length);
  return { chosen: share((a, b) => a > b), rejected: share((a, b) => b > a) };
}

// --- findings ------------------------------------------------------------------------------------------------------

/** Reasons with a finding of their own; rows that truncation leaves out are told with it. */
const ofRow: Partial<Record<Reason, FindingCode>> = {
  'same-completions': 'identical-pairs',
  'same-tokens': 'identical-pairs',
  'empty-completion': 'empty-side',
};

function badRows(problems: readonly Problem[], rows: number): Finding[] {
  const byCode = new Map<FindingCode, Problem[]>();
  for (const problem of problems) {
    const code = ofRow[problem.code] ?? 'bad-rows';
    byCode.set(code, [...(byCode.get(code) ?? []), problem]);
  }
  return [...byCode].map(([code, found]) => {
    const reasons = code === 'bad-rows' ? counts(found.map((problem) => problem.code)) : '';
    const places = distinct(found.map(({ where }) => where));
    return finding(code, { count: places.length, of: rows, where: places, detail: reasons });
  });
}

const counts = (codes: readonly string[]) =>
  [...new Set(codes)].map((code) => `${codes.filter((other) => other === code).length} ${code}`).join(', ');

function distinct(places: readonly Where[]): Where[] {
  return [...new Map(places.map((where) => [`${where.file}:${where.line}`, where])).values()];
}

function repeats(rows: readonly Row[], total: number): Finding[] {
  const seen = new Map<string, Row[]>();
  const prompts = new Map<string, Row[]>();
  const add = (map: Map<string, Row[]>, key: string, row: Row) => {
    const held = map.get(key);
    if (held === undefined) map.set(key, [row]);
    else held.push(row);
  };
  for (const row of rows) {
    add(seen, keyOf(row), row);
    if (row.kind !== 'text') add(prompts, JSON.stringify(row.prompt), row);
  }
  const findings: Finding[] = [];
  const copies = [...seen.values()].flatMap(([, ...again]) => again);
  if (copies.length > 0)
    findings.push(finding('duplicates', { count: copies.length, of: total, where: copies.map(({ where }) => where) }));
  const turned = rows.filter((row) => {
    const opposite = oppositeOf(row);
    return opposite !== undefined && seen.has(keyOf(opposite));
  });
  if (turned.length > 0)
    findings.push(
      finding('contradictions', { count: turned.length, of: total, where: turned.map(({ where }) => where) }),
    );
  const common = [...prompts.values()].filter((held) => held.length > manyTimes).sort((a, b) => b.length - a.length);
  if (common.length > 0) {
    const detail = `${prompts.size} different prompts; the commonest has ${common[0]!.length} rows`;
    const count = common.reduce((sum, held) => sum + held.length, 0);
    findings.push(finding('common-prompts', { count, of: total, where: common.map(([row]) => row!.where), detail }));
  }
  return findings;
}

/** The same row, judged the other way round. */
function oppositeOf(row: Row): Row | undefined {
  if (row.kind === 'pair') return { ...row, chosen: row.rejected, rejected: row.chosen };
  return row.kind === 'labelled' ? { ...row, desirable: !row.desirable } : undefined;
}

/** Rows of the held-out files that are also among these. */
async function heldoutCopies(rows: readonly Row[], options: CheckOptions): Promise<Finding[]> {
  const held = await readAll(options);
  const known = new Set(rows.map(keyOf));
  const where = held.rows.filter((row) => known.has(keyOf(row))).map((row) => row.where);
  return where.length === 0 ? [] : [finding('heldout-copies', { count: where.length, of: held.rows.length, where })];
}

/** Rows of one prompt that are nothing to speak of: rankings of a few completions come as that many pairs. */
const manyTimes = 8;

function keyOf(row: Row): string {
  if (row.kind === 'pair') return JSON.stringify([row.prompt, row.chosen, row.rejected]);
  if (row.kind === 'text') return JSON.stringify(row.text);
  const label = row.kind === 'labelled' ? [row.desirable] : [];
  return JSON.stringify([row.prompt, row.completion, ...label]);
}

/** Shares of pairs whose longer side wins from which on length alone is a good guess. */
const biased = 0.65;

function lengthBias({ chosen, rejected }: { chosen: number; rejected: number }, rows: number): Finding[] {
  const share = (part: number) => Math.round(part * rows);
  if (chosen >= biased) return [finding('longer-wins', { count: share(chosen), of: rows, where: [] })];
  return rejected >= biased ? [finding('shorter-wins', { count: share(rejected), of: rows, where: [] })] : [];
}

const leftOut: readonly Reason[] = ['too-long', 'prompt-fills-length', 'completion-too-long', 'same-after-truncation'];

/** From this share on, most of the arithmetic goes into tokens that nothing is learnt from. */
const mostlyPrompts = 0.8;

/** Rows that their tokens leave out. */
function notFitting(problems: readonly Problem[], rows: number, truncation: Truncation | undefined): Finding[] {
  const of = (code: FindingCode, reasons: readonly Reason[]) => {
    const held = problems.filter((problem) => reasons.includes(problem.code));
    const where = distinct(held.map((problem) => problem.where));
    const detail = counts(held.map((problem) => problem.code));
    return where.length === 0 ? [] : [finding(code, { count: where.length, of: rows, where, detail })];
  };
  return [
    ...of('bad-rows', ['not-encodable', 'template-refused', 'template-mismatch']),
    ...of('identical-pairs', ['same-tokens']),
    ...(truncation === undefined ? of('long-prompts', ['prompt-fills-length']) : []),
    ...of(
      'over-context',
      leftOut.filter((reason) => truncation !== undefined || reason !== 'prompt-fills-length'),
    ),
  ];
}

function inTokens(report: DataReport, looked: readonly Looked[]): Finding[] {
  const { rows, kept, truncated, merged, withoutEnd, unknown, tokens } = report;
  const longest = looked.toSorted((a, b) => b.prompt + Math.max(...b.sides) - a.prompt - Math.max(...a.sides));
  const found: (Finding | false)[] = [
    truncated.rows > 0 &&
      finding('truncated', {
        count: truncated.rows,
        of: rows,
        where: longest.slice(0, truncated.rows).map(({ where }) => where),
        detail: `${truncated.tokens} tokens cut off`,
      }),
    withoutEnd > 0 && finding('without-end', { count: withoutEnd, of: kept, where: [] }),
    unknown.rows > 0 &&
      finding('unknown-tokens', {
        count: unknown.rows,
        of: kept,
        where: [],
        detail: `${unknown.tokens} of ${tokens.inTrees} tokens`,
      }),
    merged.rows > 0 &&
      finding('boundary-merges', {
        count: merged.rows,
        of: kept,
        where: [],
        detail: `${merged.tokens} prompt tokens`,
        followed: looked.filter(({ mergesAnyhow }) => mergesAnyhow).length === merged.rows,
      }),
    tokens.promptShare >= mostlyPrompts &&
      finding('mostly-prompts', { count: tokens.total - tokens.scored, of: tokens.total, where: [] }),
  ];
  return found.filter((one) => one !== false);
}
