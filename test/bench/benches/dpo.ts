import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { figure, median, percent, spread, timesOf } from '../figures.js';
import { machineText } from '../machine.js';
import type { DpoInput, DpoOutput } from '../ours/dpo.js';
import { peerPython, runPeer, shared } from '../peers.js';
import { ours } from '../processes.js';
import { productShare, profileTable } from '../profile.js';
import { interleaved } from '../rounds.js';
import { count, readSettings, type Settings } from '../settings.js';
import { shape42M, startWithTokenizer } from '../shape.js';
import { splitTable } from '../split.js';
import { table } from '../table.js';

export const defaults = {
  rows: '32',
  batch: '8',
  'max-length': '512',
  'micro-batch-tokens': '',
  hidden: String(shape42M.hidden),
  layers: String(shape42M.layers),
  heads: String(shape42M.heads),
};

interface PeerOutput {
  readonly versions: Readonly<Record<string, string>>;
  readonly rows: number;
  /** Without the end tokens. */
  readonly tokens: number;
  readonly train_s: number;
  readonly median_step_s: number;
  readonly losses: readonly number[];
  readonly peak_rss_mb: number;
}

/** What is compared, of ours and of a peer's. */
interface Measured {
  readonly pairsPerSecond: number;
  readonly stepSeconds: number;
  readonly peakRssMb: number;
  readonly losses: readonly number[];
  readonly tokens: number;
  readonly versions?: Readonly<Record<string, string>>;
}

const kelpie = 'Kelpie';
const asInstalled = 'TRL as installed';
const best = 'TRL, one pair a micro-batch';
const learningRate = 1e-5;
const beta = 0.1;

/** DPO of a 41.7M-parameter model on the first pairs of hh-rlhf-harmless, beside TRL. */
export async function run(args: readonly string[]): Promise<{ settings: Settings; report: string }> {
  const settings = readSettings(args, defaults);
  const folder = mkdtempSync(join(tmpdir(), 'kelpie-bench-'));
  try {
    return { settings, report: await measure(settings, folder) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function measure(settings: Settings, folder: string): Promise<string> {
  const { own, rounds, threads } = settings;
  const [rows, batch, maxLength] = [
    count('rows', own.rows),
    count('batch', own.batch),
    count('max-length', own['max-length']),
  ];
  const shape = {
    ...shape42M,
    hidden: count('hidden', own.hidden),
    layers: count('layers', own.layers),
    heads: count('heads', own.heads),
  };
  const pairs = join(folder, 'pairs.jsonl');
  const lines = readFileSync(shared('data/hh-rlhf-harmless/pairs.jsonl'), 'utf8').split('\n');
  writeFileSync(pairs, `${lines.slice(0, rows).join('\n')}\n`);
  const peer = peerPython();
  const python = 'python' in peer ? peer.python : undefined;
  if ('missing' in peer) console.error(peer.missing);
  const model = join(folder, 'model');
  const start = await startWithTokenizer(model, shape, 'phi-3-mini', python);
  const budget = own['micro-batch-tokens'] ?? '';
  const input: DpoInput = {
    open: { ...start, threads },
    tokenizer: model,
    pairs,
    maxLength,
    beta,
    options: {
      learningRate,
      schedule: 'constant',
      batchSize: batch,
      ...(budget !== '' && { microBatchTokens: count('micro-batch-tokens', budget) }),
    },
  };
  const trl = (micro: number) => async () => {
    const flags = { rows, batch, micro, 'max-length': maxLength, lr: learningRate, beta, threads };
    const list = Object.entries(flags).flatMap(([name, value]) => [`--${name}`, value]);
    return ofPeer(await runPeer<PeerOutput>(python!, 'trl_dpo.py', [model, pairs, ...list]));
  };
  let parameters = 0;
  const results = await interleaved<Measured>(
    [
      ...(python === undefined
        ? []
        : [
            { name: asInstalled, optional: true, run: trl(batch) },
            { name: best, optional: true, run: trl(1) },
          ]),
      {
        name: kelpie,
        run: async () => {
          const output = await ours<DpoInput, DpoOutput>('dpo', input);
          parameters = output.parameters;
          return ofOurs(output);
        },
      },
    ],
    rounds,
    ({ pairsPerSecond, peakRssMb }) => `${figure(pairsPerSecond)} pairs/s, ${figure(peakRssMb)} MB`,
  );
  const take = async (what: 'split' | 'profile') => ours<DpoInput, DpoOutput>('dpo', { ...input, take: what });
  const aims = aimsOf(results);
  const split = await take('split');
  const steps = split.stepSeconds.length;
  const short = aims.some(({ reached }) => !reached);
  const operators = settings.profile || short ? (await take('profile')).operators : undefined;
  const versions = [asInstalled, best]
    .map((name) => results.get(name)?.[0]?.versions)
    .find((found) => found !== undefined);
  const named = Object.entries(versions ?? {}).map(([name, version]) => `${name} ${version}`);
  return [
    `${machineText(threads)}${named.length > 0 ? `; ${named.join(', ')}` : ''}.`,
    `${(parameters / 1e6).toFixed(1)}M parameters, ${rows} pairs (${figure(split.tokens)} tokens, ${figure(split.tokensInTrees)} with shared prompts once), batch ${batch}, length ${maxLength}, float32, full fine-tuning, reference pass included; medians of ${rounds} interleaved rounds, in brackets the range.`,
    speedTable(results),
    ...('missing' in peer ? [`${peer.missing}.`] : []),
    aimsTable(aims),
    lossTable(results),
    `The reference pass took ${figure(split.referenceSeconds)} s before ${steps} steps of:`,
    splitTable(split.split!, steps),
    ...(operators === undefined
      ? []
      : [
          `Operators within the sessions (matrix products ${percent(productShare(operators))}):`,
          profileTable(operators, steps),
        ]),
  ].join('\n\n');
}

function ofPeer({ rows, train_s, median_step_s, peak_rss_mb, losses, tokens, versions }: PeerOutput): Measured {
  return {
    pairsPerSecond: rows / train_s,
    stepSeconds: median_step_s,
    // The script divides KiB by 1024.
    peakRssMb: (peak_rss_mb * 2 ** 20) / 1e6,
    losses,
    tokens: tokens + 2 * rows,
    versions,
  };
}

function ofOurs({ rows, seconds, stepSeconds, peakRssMb, losses, tokens }: DpoOutput): Measured {
  return { pairsPerSecond: rows / seconds, stepSeconds: median(stepSeconds.slice(1)), peakRssMb, losses, tokens };
}

type Results = ReadonlyMap<string, readonly Measured[]>;

const speeds = (all: readonly Measured[]) => all.map(({ pairsPerSecond }) => pairsPerSecond);
const ratios = (results: Results, name: string) => timesOf(speeds(results.get(kelpie)!), speeds(results.get(name)!));

function speedTable(results: Results): string {
  const rows = [...results].map(([name, all]) => [
    name,
    spread(speeds(all)),
    name === kelpie ? '' : `${spread(ratios(results, name))} times`,
    spread(all.map(({ stepSeconds }) => stepSeconds)),
    spread(all.map(({ peakRssMb }) => peakRssMb)),
    figure(all[0]?.tokens ?? Number.NaN),
  ]);
  return table(['', 'pairs/s', 'Kelpie is', 'step, s', 'peak RSS, MB', 'tokens'], rows);
}

interface Aim {
  readonly what: string;
  readonly limit: string;
  readonly aim: string;
  readonly measured: string;
  readonly held: boolean;
  readonly reached: boolean;
}

function aimsOf(results: Results): Aim[] {
  const mine = results.get(kelpie) ?? [];
  const aims = [
    { name: asInstalled, limit: 4, aim: 8 },
    { name: best, limit: 1.5, aim: 3 },
  ].flatMap(({ name, limit, aim }): Aim[] => {
    if (!results.has(name)) return [];
    const ratio = median(ratios(results, name));
    const what = `pairs/s against ${name}`;
    return [
      { what, limit: `${limit}`, aim: `${aim}`, measured: figure(ratio), held: ratio >= limit, reached: ratio >= aim },
    ];
  });
  const peak = median(mine.map(({ peakRssMb }) => peakRssMb)) / 1000;
  aims.push({
    what: 'peak RSS, GB, at most',
    limit: '2',
    aim: '1.5',
    measured: figure(peak),
    held: peak <= 2,
    reached: peak <= 1.5,
  });
  for (const name of [asInstalled, best].filter((name) => results.has(name))) {
    const apart = furthest(results, name);
    aims.push({
      what: `largest difference of a loss from ${name}`,
      limit: '1e-4',
      aim: '1e-4',
      measured: apart.toExponential(1),
      held: apart <= 1e-4,
      reached: apart <= 1e-4,
    });
  }
  return aims;
}

function aimsTable(aims: readonly Aim[]): string {
  const verdict = ({ held, reached }: Aim) => (reached ? 'aim reached' : held ? 'limit held, aim missed' : 'MISSED');
  return table(
    ['', 'limit', 'aim', 'measured', 'so'],
    aims.map((aim) => [aim.what, aim.limit, aim.aim, aim.measured, verdict(aim)]),
  );
}

const lossesOf = (results: Results, name: string) => results.get(name)?.[0]?.losses ?? [];

/** Largest difference of a step's loss between ours and a peer's; infinite if one has more steps. */
function furthest(results: Results, name: string): number {
  const [mine, theirs] = [lossesOf(results, kelpie), lossesOf(results, name)];
  if (mine.length !== theirs.length) return Number.POSITIVE_INFINITY;
  return Math.max(...mine.map((loss, i) => Math.abs(loss - theirs[i]!)));
}

function lossTable(results: Results): string {
  const names = [...results.keys()];
  const rows = lossesOf(results, kelpie).map((_, i) => [
    `loss of step ${i + 1}`,
    ...names.map((name) => lossesOf(results, name)[i]?.toFixed(6) ?? ''),
  ]);
  return table(['', ...names], rows);
}
