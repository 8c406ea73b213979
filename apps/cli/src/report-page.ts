import { join } from 'node:path';
import { runPage, writePage } from '@kelpie/report';
import type { Context } from './context.js';
import { labelled } from './progress.js';

/**
 * Draws what a run has written into `report.html` beside it, at its end or where it was stopped. What cannot be drawn is
 * told, and ends no run.
 */
export async function reportRun(
  {
    out,
    step,
    facts,
  }: { readonly out: string; readonly step: number; readonly facts: Readonly<Record<string, string>> },
  { terminal }: Context,
): Promise<void> {
  if (step === 0) return;
  const file = join(out, 'report.html');
  try {
    await writePage(file, await runPage(out, { facts }));
    terminal.print(labelled(terminal, 'figures', file));
  } catch (error) {
    terminal.warn([`no figures were drawn: ${(error as Error).message}`]);
  }
}

/** What the run's folder does not tell: where model and data were read from. */
export function factsOf(
  { model }: { readonly model: { readonly path?: string | undefined; readonly init?: string | undefined } },
  files: readonly string[],
): Record<string, string> {
  const start = model.path ?? (model.init === undefined ? undefined : `new, from ${model.init}`);
  return { ...(start !== undefined && { 'started from': start }), data: files.join(', ') };
}
