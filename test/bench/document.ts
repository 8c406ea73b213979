import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const file = fileURLToPath(new URL('../../../docs/benchmarks.md', import.meta.url));

/** Puts a bench's report between its markers in docs/benchmarks.md; what stands around them is written by hand. */
export function writePart(name: string, report: string): void {
  writeFileSync(file, replacePart(readFileSync(file, 'utf8'), name, report));
}

interface Kind {
  /** What the markers begin with. */
  readonly kind: string;
  /** What an error calls the file. */
  readonly file: string;
}

export function replacePart(
  text: string,
  name: string,
  report: string,
  { kind, file: called }: Kind = { kind: 'bench', file: 'docs/benchmarks.md' },
): string {
  const [open, close] = [`<!-- ${kind}:${name} -->`, `<!-- /${kind}:${name} -->`];
  const [from, to] = [text.indexOf(open), text.indexOf(close)];
  if (from < 0 || to < from) throw new Error(`${called} has no part \`${open}\` ... \`${close}\``);
  return `${text.slice(0, from + open.length)}\n${report.trim()}\n${text.slice(to)}`;
}
