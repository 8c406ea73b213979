import { tableHtml } from '../chart/table.js';
import { ReportError } from '../error.js';
import { figureHtml, pageHtml } from '../page.js';
import { type Run, readRun } from '../read/run.js';
import { escaped, many } from '../text.js';
import { type CompareOptions, compareFigures } from './figures.js';

export interface ComparePageOptions extends CompareOptions {
  readonly title?: string;
}

/** Runs as they are compared: without their completions. */
export async function readRuns(folders: readonly string[]): Promise<Run[]> {
  if (folders.length === 0) throw new ReportError('no runs to compare: name their folders');
  const runs: Run[] = [];
  for (const folder of folders) runs.push(await readRun(folder, { rollouts: false }));
  return runs;
}

/** The page of several runs: metrics against divergence by setting, over seeds. */
export async function comparePage(folders: readonly string[], options: ComparePageOptions = {}): Promise<string> {
  const runs = await readRuns(folders);
  const { figures, grouped } = compareFigures(runs, options);
  const { title = `${many(runs.length, 'run')} compared` } = options;
  const notes = runs.flatMap(({ name, notes: own }) => own.map((note) => `${name}: ${note}`));
  const [frontier, ...paths] = figures;
  const settings = grouped.groups.flatMap(({ label, cells }) =>
    cells.map((cell) => [[label, cell.label].filter(Boolean).join(', '), cell.runs.map(({ name }) => name).join(', ')]),
  );
  const body = [
    `<header><h1>${escaped(title)}</h1><p class="lead">${many(grouped.groups.length, 'setting')}, ${many(settings.length, 'place')} on frontiers, ${many(runs.length, 'run')}.</p>`,
    ...notes.map((note) => `<p class="note">${escaped(note)}</p>`),
    '</header>',
    `<div class="figures">${[frontier!, ...paths].map(figureHtml).join('\n')}</div>`,
    `<h2>Where each setting ended</h2>${frontier?.table ? tableHtml(frontier.table) : ''}`,
    `<h2>Runs</h2><details><summary>Which runs are which</summary>${tableHtml({ columns: ['setting', 'runs'], rows: settings })}</details>`,
  ];
  return pageHtml({ title, body: body.join('\n') });
}
