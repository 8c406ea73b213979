import { randomBytes } from 'node:crypto';
import { mkdir, open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { drawFigure } from './chart/draw.js';
import type { Figure } from './chart/figure.js';
import { tableHtml, tableOf } from './chart/table.js';
import { ReportError } from './error.js';
import { hover } from './hover.js';
import { pageStyle } from './page-style.js';
import { escaped } from './text.js';

/** A whole page, which loads nothing: the browser is told to refuse what would be loaded. */
export function pageHtml({ title, body }: { readonly title: string; readonly body: string }): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>${escaped(title)}</title>
<style>
${pageStyle}
</style>
</head>
<body>
<main>
${body}
</main>
<script>
${hover}
</script>
</body>
</html>
`;
}

/** A figure with its notes, and its numbers as a table that opens. */
export function figureHtml(figure: Figure): string {
  const { name, title, wide = false, notes = [] } = figure;
  const said = notes.map((note) => `<p class="note">${escaped(note)}</p>`).join('');
  return [
    `<figure${wide ? ' class="wide"' : ''} id="${escaped(name)}"><figcaption>${escaped(title)}</figcaption>`,
    drawFigure(figure, { wide: false }).svg,
    ...(wide ? [drawFigure(figure, { wide, id: `${name}-wide` }).svg] : []),
    `${said}<details class="numbers"><summary>Numbers</summary>${tableHtml(tableOf(figure))}</details></figure>`,
  ].join('\n');
}

/** Writes the page whole or not at all. */
export async function writePage(file: string, html: string): Promise<void> {
  const temporary = join(dirname(file), `.${basename(file)}.partial-${randomBytes(6).toString('hex')}`);
  try {
    await mkdir(dirname(file), { recursive: true });
    const handle = await open(temporary, 'wx');
    try {
      await handle.writeFile(html);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, file);
  } catch (cause) {
    await rm(temporary, { force: true });
    throw new ReportError(`cannot write \`${file}\`: ${(cause as Error).message}`, { cause });
  }
}
