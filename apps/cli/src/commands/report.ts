import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type Command, Option } from '@commander-js/extra-typings';
import {
  type BandKind,
  bandKinds,
  type CompareOptions,
  compareFigures,
  comparePage,
  type Figure,
  figureSvg,
  readRun,
  readRuns,
  runFigures,
  runPage,
  writePage,
} from '@kelpie/report';
import type { Context } from '../context.js';
import { UsageError } from '../exit.js';
import { many } from '../print.js';
import { labelled } from '../progress.js';

interface Flags {
  readonly out?: string;
  readonly svg?: string;
  readonly title?: string;
  readonly metric?: readonly string[];
  readonly against?: string;
  readonly groupBy?: readonly string[];
  readonly sweep?: string;
  readonly band?: BandKind;
  readonly scale?: 'linear' | 'sqrt';
}

/** `kelpie report RUN`: figures as one HTML file, of a run or of several. */
export function addReport(program: Command, { terminal }: Context): void {
  const made = program
    .command('report')
    .summary("draw a run's figures, or compare runs, as one HTML file")
    .description(
      'Draws what a run has written, finished or not, as one HTML file that loads nothing; of several runs, metrics against divergence by setting, over seeds.',
    )
    .argument('<run...>', "the runs' folders, as given to `train --out`")
    .addHelpText(
      'after',
      `
Examples:
  kelpie report runs/tuned                                      writes runs/tuned/report.html
  kelpie report runs/kl-* runs/chi2-* --out frontier.html --group-by penalty --sweep penaltyCoef`,
    ) as unknown as Command;
  for (const option of flags()) made.addOption(option);
  made.action(async (...given: unknown[]) => {
    const [folders, options] = given as [readonly string[], Flags];
    const written = folders.length === 1 ? await one(folders[0]!, options) : await several(folders, options);
    for (const file of written) terminal.print(labelled(terminal, 'written', file));
  });
}

function flags(): Option[] {
  const compared = [
    new Option('--metric <key...>', 'metrics that are drawn (default: the reward and what is watched)'),
    new Option('--against <key>', 'the divergence they are drawn against (default: divergence/kl_exact)'),
    new Option('--group-by <key...>', 'config keys that tell settings apart (default: all that differ but seeds)'),
    new Option(
      '--sweep <key>',
      'the config key whose values lie along a frontier (default: the weight of the penalty)',
    ),
    new Option('--band <kind>', 'what bands show over runs (default: standard-error)').choices(bandKinds),
    new Option('--scale <kind>', "how the divergence's axis is divided (default: linear)").choices(['linear', 'sqrt']),
    new Option('--title <text>', 'the title of the page'),
  ] as unknown as Option[];
  return [
    new Option('-o, --out <file>', 'the HTML file (default: report.html in the folder of a single run)'),
    new Option('--svg <folder>', 'writes each figure as an SVG file besides'),
    ...compared.map((option) => option.helpGroup('Of several runs:')),
  ];
}

async function one(folder: string, { out = join(folder, 'report.html'), svg, ...others }: Flags): Promise<string[]> {
  const [compared] = Object.keys(others);
  if (compared !== undefined) throw new UsageError(`\`${flagOf(compared)}\` is for several runs, and one is named`);
  const html = await runPage(folder);
  const { main, further } = runFigures(await readRun(folder, { rollouts: false }));
  await writePage(out, html);
  return [out, ...(await writeFigures(svg, [...main, ...further]))];
}

async function several(folders: readonly string[], { out, svg, title, ...flags }: Flags): Promise<string[]> {
  if (out === undefined) throw new UsageError('where to? Name a file for the page with `--out`');
  const { metric, ...others } = flags;
  const options: CompareOptions = { ...others, ...(metric && { metrics: metric }) };
  const html = await comparePage(folders, { ...options, ...(title !== undefined && { title }) });
  await writePage(out, html);
  const figures = svg === undefined ? [] : compareFigures(await readRuns(folders), options).figures;
  return [out, ...(await writeFigures(svg, figures))];
}

async function writeFigures(folder: string | undefined, figures: readonly Figure[]): Promise<string[]> {
  if (folder === undefined) return [];
  mkdirSync(folder, { recursive: true });
  for (const figure of figures) await writePage(join(folder, `${figure.name}.svg`), figureSvg(figure));
  return [`${folder}: ${many(figures.length, 'figure')}`];
}

const flagOf = (name: string) => `--${name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
