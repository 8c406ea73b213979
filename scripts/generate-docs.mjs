// Writes the parts of READMEs that built packages tell, between their markers. Run by `npm run generate`, after the build.
import { readFileSync, writeFileSync } from 'node:fs';
import { objectivesTable } from '../packages/objectives/dist/index.js';

const parts = [{ file: '../packages/objectives/README.md', marker: 'objectives', text: objectivesTable() }];

for (const { file, marker, text } of parts) {
  const path = new URL(file, import.meta.url);
  const before = readFileSync(path, 'utf8');
  const [open, close] = [`<!-- ${marker} -->`, `<!-- /${marker} -->`];
  const [from, to] = [before.indexOf(open), before.indexOf(close)];
  if (from < 0 || to < from) throw new Error(`${file} has no part ${open} ... ${close}`);
  const after = `${before.slice(0, from + open.length)}\n${text}\n${before.slice(to)}`;
  if (after === before) continue;
  writeFileSync(path, after);
  console.log(`wrote ${file.slice(3)}`);
}
