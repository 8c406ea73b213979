import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { figure, median, percent, spread } from '../figures.js';
import { machineText } from '../machine.js';
import type { CutInput, CutOutput } from '../ours/cut.js';
import { ours } from '../processes.js';
import { interleaved } from '../rounds.js';
import { count, readSettings, type Settings } from '../settings.js';
import { ourStart, type Shape, shape42M } from '../shape.js';
import { table } from '../table.js';

export const defaults = { trees: '4', trunk: '170', branch: '40', repeats: '5', only: '' };

/** The second is that of TinyStories-656K. */
const shapes: Readonly<Record<string, Shape>> = {
  '41.7M': shape42M,
  '656K': { hidden: 128, layers: 2, heads: 8, kvHeads: 4, ffn: 384, vocabulary: 2048, positions: 512 },
};

/** What the forward pass keeps for the backward pass: results of matrix products, or nothing. */
export async function run(args: readonly string[]): Promise<{ settings: Settings; report: string }> {
  const settings = readSettings(args, defaults);
  const { own, rounds, threads } = settings;
  const [trees, trunk, branch] = [count('trees', own.trees), count('trunk', own.trunk), count('branch', own.branch)];
  const rows: string[][] = [];
  for (const [name, shape] of Object.entries(shapes)) {
    if (own.only !== '' && own.only !== name) continue;
    const folder = mkdtempSync(join(tmpdir(), 'kelpie-bench-'));
    try {
      const start = ourStart(folder, shape);
      const input = { vocabulary: shape.vocabulary, trees, trunk, branch, repeats: count('repeats', own.repeats) };
      const results = await interleaved<CutOutput>(
        (['products', 'nothing'] as const).map((keep) => ({
          name: `${name}, keeps ${keep}`,
          run: () => ours<CutInput, CutOutput>('cut', { ...input, open: { ...start, threads, keep } }),
        })),
        rounds,
        ({ seconds, peakRssMb }) => `${figure(seconds)} s, ${figure(peakRssMb)} MB`,
      );
      rows.push(...rowsOf(results));
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }
  const what = `${trees} trees of ${trunk + 2 * branch} tokens (two branches of ${branch}), float32; medians of ${rounds} interleaved rounds, in brackets the range.`;
  const head = ['', 'vjp + pullback, s', 'forward, s', 'backward, s', 'peak RSS, MB', 'time', 'memory'];
  return { settings, report: [`${machineText(threads)}.`, what, table(head, rows)].join('\n\n') };
}

/** A line each; the last two columns are against the first line. */
function rowsOf(results: ReadonlyMap<string, readonly CutOutput[]>): string[][] {
  const all = [...results];
  const mid = (outputs: readonly CutOutput[], key: keyof CutOutput) => median(outputs.map((output) => output[key]));
  const base = all[0]![1];
  return all.map(([name, outputs]) => [
    name,
    ...(['seconds', 'forwardSeconds', 'backwardSeconds', 'peakRssMb'] as const).map((key) =>
      spread(outputs.map((output) => output[key])),
    ),
    ...(['seconds', 'peakRssMb'] as const).map((key) => percent(mid(outputs, key) / mid(base, key))),
  ]);
}
