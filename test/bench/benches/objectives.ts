import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { figure, median, percent, spread } from '../figures.js';
import { machineText } from '../machine.js';
import type { ObjectivesInput, ObjectivesOutput, Timed } from '../ours/objectives.js';
import type { TrainInput, TrainOutput } from '../ours/train.js';
import { ours } from '../processes.js';
import { interleaved } from '../rounds.js';
import { count, readSettings, type Settings } from '../settings.js';
import { ourStart } from '../shape.js';
import { table } from '../table.js';

export const defaults = { rows: '256', tokens: '512', 'step-rows': '8', repeats: '5', only: '' };

const shape = { hidden: 256, layers: 4, heads: 4, vocabulary: 2048 };
/** Of the model's own step. */
const limit = 0.02;

/** One of both; they take turns. */
interface Measured {
  readonly step?: TrainOutput;
  readonly objectives?: ObjectivesOutput;
}

/** What an objective costs beside the step of the model whose scores it is given. */
export async function run(args: readonly string[]): Promise<{ settings: Settings; report: string }> {
  const settings = readSettings(args, defaults);
  const folder = mkdtempSync(join(tmpdir(), 'kelpie-bench-'));
  try {
    return { settings, report: await measure(settings, folder) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function measure({ own, rounds, threads }: Settings, folder: string): Promise<string> {
  const [rows, tokens, repeats] = [count('rows', own.rows), count('tokens', own.tokens), count('repeats', own.repeats)];
  const stepRows = count('step-rows', own['step-rows']);
  const start = ourStart(folder, { ...shape, ffn: 4 * shape.hidden, positions: tokens });
  const { vocabulary } = shape;
  const step: TrainInput = {
    open: { ...start, threads },
    rows: stepRows,
    length: tokens,
    vocabulary,
    repeats,
    threads,
  };
  const only = own.only === '' || own.only === undefined ? [] : own.only.split(',');
  const results = await interleaved<Measured>(
    [
      { name: 'step', run: async () => ({ step: await ours<TrainInput, TrainOutput>('train', step) }) },
      {
        name: 'objectives',
        run: async () => ({
          objectives: await ours<ObjectivesInput, ObjectivesOutput>('objectives', { rows, tokens, repeats, only }),
        }),
      },
    ],
    rounds,
    described,
  );
  const steps = results.get('step')!.map((result) => result.step!);
  const parts = rows / stepRows;
  const stepMs = steps.map(({ gradientMs, optimizerMs }) => parts * gradientMs + optimizerMs);
  const parameters = `${(steps[0]!.parameters / 1e6).toFixed(1)}M`;
  const timed = results.get('objectives')!.map((result) => result.objectives!.timed);
  return [
    `${machineText(threads)}.`,
    `Medians of ${rounds} interleaved rounds, in brackets the range; each round takes the median of ${repeats} evaluations after two, in one thread, checks of input and result included. ${rows} rows of ${tokens} tokens, of which every one counts, float64; groups of 8 rows. The slowest choice is that of one option, the others at their defaults.`,
    `The step is forward, backward and AdamW of the ${parameters} model (${Object.values(shape).join(' x ')}: hidden size, layers, heads, vocabulary) in float32 with ${threads} threads. Measured on ${stepRows} rows of ${tokens} tokens (${spread(steps.map(({ gradientMs }) => gradientMs))} ms, and AdamW ${spread(steps.map(({ optimizerMs }) => optimizerMs))} ms), so that on ${rows} rows its gradient takes ${figure(parts)} times as long: ${spread(stepMs)} ms.`,
    costs(timed, median(stepMs)),
  ].join('\n\n');
}

function described({ step, objectives }: Measured): string {
  if (step) return `${figure(step.gradientMs)} ms and ${figure(step.optimizerMs)} ms`;
  const slowest = objectives!.timed.toSorted((a, b) => b.ms - a.ms)[0];
  return `slowest ${slowest?.name} ${slowest?.options}, ${figure(slowest?.ms ?? Number.NaN)} ms`;
}

/** A line an objective, the dearest first. */
function costs(rounds: readonly (readonly Timed[])[], stepMs: number): string {
  const settings = rounds[0]!.map(({ name, options }, i) => ({
    name,
    options,
    all: rounds.map((timed) => timed[i]!.ms),
  }));
  const lines = settings
    .filter(({ options }) => options === '')
    .map(({ name, all }) => {
      const mine = settings.filter((setting) => setting.name === name);
      const slowest = mine.toSorted((a, b) => median(b.all) - median(a.all))[0]!;
      return { name, all, slowest, share: median(slowest.all) / stepMs };
    })
    .sort((a, b) => b.share - a.share);
  const over = lines.filter(({ share }) => share >= limit).map(({ name }) => name);
  const verdict = over.length === 0 ? 'limit held' : `MISSED by ${over.join(', ')}`;
  const most = table(
    ['', 'limit', 'measured', 'so'],
    [['largest share of the step', `under ${percent(limit)}`, percent(lines[0]?.share ?? Number.NaN), verdict]],
  );
  const rows = lines.map(({ name, all, slowest, share }) => [
    name,
    spread(all),
    slowest.options === '' ? '' : figure(median(slowest.all)),
    slowest.options,
    percent(share),
  ]);
  const head = ['objective', 'defaults, ms', 'slowest choice, ms', 'which', 'most, of the step'];
  return [most, table(head, rows)].join('\n\n');
}
