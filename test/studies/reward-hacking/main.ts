import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { figureSvg, writePage } from '@kelpie/report';
import { replacePart } from '../../bench/document.js';
import { reportOf } from './document.js';
import { figuresOf } from './figures.js';
import { pageOf } from './page.js';
import { readSettings, usage as text } from './settings.js';
import { writeWhole } from './store.js';
import { groupsOf } from './summary.js';
import { sweep } from './sweep.js';

export const usage = text;

const docs = fileURLToPath(new URL('../../../../docs/studies/', import.meta.url));

/** Figures that stand in the document; the page has all. */
const shown = ['steps-labels', 'frontier-kl-labels', 'frontier-chi2-labels', 'tails'];

export async function run(args: readonly string[]): Promise<void> {
  const settings = readSettings(args);
  const results = await sweep(settings, (line) => console.log(line));
  if (results.runs.length === 0) throw new Error(`${settings.out} holds no finished run to draw`);
  const groups = groupsOf(results.runs);
  const report = reportOf(results, settings);
  const page = join(settings.out, 'reward-hacking.html');
  await writePage(page, pageOf(groups, report));
  console.log(`\n${report}\n\nfigures: ${page}`);
  if (!settings.write) return;
  for (const figure of figuresOf(groups).filter(({ name }) => shown.includes(name))) {
    writeWhole(join(docs, `reward-hacking-${figure.name}.svg`), figureSvg(figure));
  }
  const file = join(docs, 'reward-hacking.md');
  if (!existsSync(file)) throw new Error(`${file} is missing: the report stands between its markers`);
  const place = { kind: 'study', file: 'docs/studies/reward-hacking.md' };
  writeWhole(file, replacePart(readFileSync(file, 'utf8'), 'reward-hacking', report, place));
}
