import { type DataCheck, type Finding, placeText } from '@kelpie/data';
import { grouped, many, percent, type Terminal, table, wrap } from './print.js';
import { labelled } from './progress.js';

/** A check for people: numbers, then findings, the worst first. */
export function checkText(check: DataCheck, terminal: Terminal): string {
  const { findings } = check;
  const found = findings.map((finding) => findingText(finding, terminal));
  return [facts(check, terminal), ...(found.length > 0 ? found : ['nothing found that would harm training'])].join(
    '\n\n',
  );
}

const kinds = { pairs: 'pairs', labelled: 'completions with a label', text: 'text' } as const;

function facts(check: DataCheck, terminal: Terminal): string {
  const { files, kind, rows, usable, unit, lengths, longer, labels, tokens } = check;
  const { width, color } = terminal;
  const sources = files.map(({ file, rows: held, format }) => `${file}: ${many(held, 'row')}, ${format}`);
  const lines = [...sources, `${grouped(usable)} of ${many(rows, 'row')} can be trained on, as ${kinds[kind]}`];
  if (tokens !== undefined) {
    lines.push(
      `${grouped(tokens.total)} tokens, ${percent(tokens.promptShare)} of them prompts; with shared prompts computed once ${grouped(tokens.inTrees)}`,
    );
  }
  if (labels !== undefined) lines.push(`${grouped(labels.wanted)} wanted, ${grouped(labels.unwanted)} not`);
  if (longer !== undefined && usable > 0)
    lines.push(
      `the longer side wins in ${percent(longer.chosen)} of the pairs, the shorter in ${percent(longer.rejected)}`,
    );
  const columns = [unit, 'least', 'median', '90 %', '99 %', 'most'].map((title, c) => ({
    title,
    ...(c > 0 && { align: 'right' as const }),
  }));
  const spreads = lengths.map(({ of, least, median, p90, p99, most }) => [
    of === 'row' ? 'longest side with prompt' : of,
    ...[least, median, p90, p99, most].map(grouped),
  ]);
  const parts = [labelled(terminal, 'data', lines.join('\n'))];
  if (spreads.length > 0) parts.push(table(columns, spreads, { width, color }));
  return parts.join('\n\n');
}

function findingText(
  { severity, count, of, what, detail, effect, advice, where }: Finding,
  terminal: Terminal,
): string {
  const { color, width } = terminal;
  const paint = { error: color.red, warning: color.yellow, note: color.cyan }[severity];
  const head = `${grouped(count)} of ${grouped(of)} (${percent(count / Math.max(1, of))}) ${what}${detail && `: ${detail}`}`;
  const more = count > where.length ? ', ...' : '';
  const lines = [
    ...(where.length > 0 ? [['where', `${where.map(placeText).join(', ')}${more}`]] : []),
    ['does', effect],
    ['do', advice],
  ];
  const body = lines.map(([label, text]) => `  ${color.dim(label!.padEnd(7))}${wrap(text!, width - 9, ' '.repeat(9))}`);
  return [`${paint(`${severity}:`)} ${wrap(head, width - severity.length - 2, '  ')}`, ...body].join('\n');
}
