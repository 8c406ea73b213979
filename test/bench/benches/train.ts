import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { figure, median, percent, spread, timesOf } from '../figures.js';
import { machineText } from '../machine.js';
import type { TrainInput, TrainOutput } from '../ours/train.js';
import { peerPython, runPeer } from '../peers.js';
import { ours } from '../processes.js';
import { bestProduct } from '../product.js';
import { productShare, profileTable } from '../profile.js';
import { interleaved } from '../rounds.js';
import { count, counts, readSettings, type Settings } from '../settings.js';
import { ourStart } from '../shape.js';
import { canSlice, type Slices } from '../slices.js';
import { splitTable } from '../split.js';
import { table } from '../table.js';

export const defaults = {
  /** HIDDENxLAYERSxHEADSxVOCABULARYxROWSxLENGTH. */
  shapes: '256x4x4x2048x8x128,512x8x8x8192x8x128,576x12x9x32000x4x256',
  ways: 'eager,transformers,compiled',
  /** Steps that count, by shape; the last holds for all that follow. */
  repeats: '60,12,8',
};

interface PeerOutput {
  readonly torch: string;
  readonly matmul_peak_gflops: number;
  readonly ways: Readonly<
    Record<string, { readonly tokens_per_s: number; readonly gflops: number; readonly forward_backward_ms: number }>
  >;
  readonly peak_rss_mb: number;
}

interface Measured {
  readonly tokensPerSecond: number;
  /** Of forward and backward pass. */
  readonly gflops: number;
  readonly bestProduct: number;
  readonly peakRssMb: number;
  readonly torch?: string;
}

interface Dense {
  readonly hidden: number;
  readonly layers: number;
  readonly heads: number;
  readonly vocabulary: number;
  readonly rows: number;
  readonly length: number;
}

const kelpie = 'Kelpie';
/** Steps of a turn, about: its ends spoil one or two. */
const STEPS_A_TURN = 12;
/** Of longer ones rounds in order are as good, and do not hold everybody's memory at once. */
const LONGEST_TURN_MS = 10_000;
/** Of the best product's rate, which steps reach about. */
const SHARE = 0.75;
/** Of eager PyTorch's tokens/s; and of the machine's best product, from this hidden size on. */
const limits = { eager: 0.95, product: 0.75, productFrom: 512 };

/** A dense step (forward, backward, AdamW) of three shapes, beside PyTorch. */
export async function run(args: readonly string[]): Promise<{ settings: Settings; report: string }> {
  const settings = readSettings(args, defaults);
  const peer = peerPython();
  if ('missing' in peer) console.error(peer.missing);
  const parts: string[] = [];
  let torch = '';
  const shapes = (settings.own.shapes ?? '').split(',').map(shapeOf);
  const asked = counts('repeats', settings.own.repeats);
  const repeats = shapes.map((_, i) => asked[i] ?? asked.at(-1)!);
  const rate = await bestProduct(settings.threads);
  for (const [i, shape] of shapes.entries()) {
    const folder = mkdtempSync(join(tmpdir(), 'kelpie-bench-'));
    try {
      const part = await measure(settings, { shape, folder, peer, rate, repeats: repeats[i]! });
      parts.push(part.report);
      torch ||= part.torch;
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }
  const machine = `${machineText(settings.threads)}${torch === '' ? '' : `; torch ${torch}`}.`;
  const turns = canSlice
    ? `. Where ${STEPS_A_TURN} steps take less than ${LONGEST_TURN_MS / 1000} s, they run in turns of so many, the others stopped meanwhile`
    : '';
  const how = `Medians of ${settings.rounds} rounds, in brackets the range; each is a process of its own and takes the median of ${repeats.join(', ')} steps after three${turns}. GFLOP/s by 6 N T + 12 L T² D over forward and backward pass; the best product is one of 2048 x 2048 in the same process.`;
  return {
    settings,
    report: [machine, how, ...('missing' in peer ? [`${peer.missing}.`] : []), ...parts].join('\n\n'),
  };
}

function shapeOf(text: string): Dense {
  const [hidden, layers, heads, vocabulary, rows, length] = text.split('x').map((part) => count('shapes', part));
  if (length === undefined) throw new Error(`--shapes: expected six numbers with x between, got ${text}`);
  return { hidden: hidden!, layers: layers!, heads: heads!, vocabulary: vocabulary!, rows: rows!, length };
}

interface Place {
  readonly shape: Dense;
  readonly folder: string;
  readonly peer: ReturnType<typeof peerPython>;
  /** Of the machine's best product, GFLOP/s. */
  readonly rate: number;
  /** Steps that count. */
  readonly repeats: number;
}

async function measure(
  settings: Settings,
  { shape, folder, peer, rate, repeats }: Place,
): Promise<{ report: string; torch: string }> {
  const { own, rounds, threads } = settings;
  const { hidden, layers, heads, vocabulary, rows, length } = shape;
  const name = `${hidden} ${layers} ${heads} ${vocabulary} ${rows} ${length}`;
  console.error(`shape ${name}`);
  const start = ourStart(folder, { hidden, layers, heads, vocabulary, ffn: 4 * hidden, positions: length });
  const turn = STEPS_A_TURN * stepMs(shape, rate);
  const input: TrainInput = { open: { ...start, threads }, rows, length, vocabulary, repeats, threads };
  let parameters = 0;
  const ways = 'python' in peer ? (own.ways ?? '').split(',') : [];
  const results = await interleaved<Measured>(
    [
      ...ways.map((way) => ({
        name: way,
        optional: true,
        run: async (slices?: Slices) => {
          const list = [hidden, layers, heads, vocabulary, rows, length, '--ways', way];
          const flags = ['--repeats', repeats, '--threads', threads];
          return ofPeer(
            await runPeer<PeerOutput>(
              (peer as { python: string }).python,
              'torch_step.py',
              [...list, ...flags],
              slices,
            ),
            way,
          );
        },
      })),
      {
        name: kelpie,
        run: async (slices?: Slices) => {
          const output = await ours<TrainInput, TrainOutput>('train', input, slices);
          parameters = output.parameters;
          return ofOurs(output, shape);
        },
      },
    ],
    rounds,
    ({ tokensPerSecond, gflops }) => `${figure(tokensPerSecond)} tokens/s, ${figure(gflops)} GFLOP/s`,
    turn <= LONGEST_TURN_MS ? { sliceMs: turn } : {},
  );
  const reached = aims(results, shape);
  const take = async (what: 'split' | 'profile') => ours<TrainInput, TrainOutput>('train', { ...input, take: what });
  const { split, steps } = await take('split');
  const short = reached.some(({ reached }) => !reached);
  const operators = settings.profile || short ? (await take('profile')).operators : undefined;
  const report = [
    `### ${name}`,
    `${(parameters / 1e6).toFixed(1)}M parameters: hidden size, layers, heads, vocabulary, rows, tokens a row.`,
    speedTable(results),
    ...(reached.length > 0
      ? [
          table(
            ['', 'limit', 'aim', 'measured', 'so'],
            reached.map(({ what, limit, aim, measured, held, reached }) => [
              what,
              limit,
              aim,
              figure(measured),
              limit === '' ? (reached ? 'aim reached' : 'aim missed') : held ? 'limit held' : 'MISSED',
            ]),
          ),
        ]
      : []),
    splitTable(split!, steps),
    ...(operators === undefined
      ? []
      : [
          `Operators within the sessions (matrix products ${percent(productShare(operators))}):`,
          profileTable(operators, steps),
        ]),
  ].join('\n\n');
  return { report, torch: [...results.values()].flatMap(([first]) => first?.torch ?? [])[0] ?? '' };
}

function ofPeer({ torch, matmul_peak_gflops, ways, peak_rss_mb }: PeerOutput, way: string): Measured {
  const { tokens_per_s, gflops } = ways[way]!;
  return {
    tokensPerSecond: tokens_per_s,
    gflops,
    bestProduct: matmul_peak_gflops,
    peakRssMb: (peak_rss_mb * 2 ** 20) / 1e6,
    torch,
  };
}

/** Of forward and backward pass. */
function flopsOf(parameters: number, { rows, length, layers, hidden }: Dense): number {
  return 6 * parameters * rows * length + 12 * layers * rows * length * length * hidden;
}

/** About, beforehand, at a rate in GFLOP/s: an MLP of four times the hidden size and a tied head. */
function stepMs(shape: Dense, rate: number): number {
  const { hidden, layers, vocabulary } = shape;
  return flopsOf(16 * layers * hidden * hidden + vocabulary * hidden, shape) / (SHARE * rate) / 1e6;
}

function ofOurs({ parameters, gradientMs, optimizerMs, bestProduct, peakRssMb }: TrainOutput, shape: Dense): Measured {
  const { rows, length } = shape;
  const flops = flopsOf(parameters, shape);
  return {
    tokensPerSecond: ((rows * length) / (gradientMs + optimizerMs)) * 1e3,
    gflops: flops / gradientMs / 1e6,
    bestProduct,
    peakRssMb,
  };
}

type Results = ReadonlyMap<string, readonly Measured[]>;

const speeds = (all: readonly Measured[]) => all.map(({ tokensPerSecond }) => tokensPerSecond);
/** Each round against its own best product. */
const shares = (all: readonly Measured[]) => all.map(({ gflops, bestProduct }) => gflops / bestProduct);

function speedTable(results: Results): string {
  const mine = speeds(results.get(kelpie)!);
  const rows = [...results].map(([name, all]) => [
    name,
    spread(speeds(all)),
    name === kelpie ? '' : `${spread(timesOf(mine, speeds(all)))} times`,
    spread(all.map(({ gflops }) => gflops)),
    spread(all.map(({ bestProduct }) => bestProduct)),
    percent(median(shares(all))),
    spread(all.map(({ peakRssMb }) => peakRssMb)),
  ]);
  return table(['', 'tokens/s', 'Kelpie is', 'GFLOP/s', 'best product', 'share of it', 'peak RSS, MB'], rows);
}

interface Aim {
  readonly what: string;
  readonly limit: string;
  readonly aim: string;
  readonly measured: number;
  readonly held: boolean;
  readonly reached: boolean;
}

function aims(results: Results, { hidden }: Dense): Aim[] {
  const mine = results.get(kelpie)!;
  const ratio = (name: string) => median(timesOf(speeds(mine), speeds(results.get(name)!)));
  const all: Aim[] = [];
  if (results.has('eager')) {
    const measured = ratio('eager');
    const held = measured >= limits.eager;
    all.push({ what: 'tokens/s against eager', limit: `${limits.eager}`, aim: '', measured, held, reached: held });
  }
  if (results.has('compiled')) {
    const measured = ratio('compiled');
    const reached = measured >= 1;
    all.push({ what: 'tokens/s against torch.compile', limit: '', aim: '1', measured, held: true, reached });
  }
  if (hidden >= limits.productFrom) {
    const measured = median(shares(mine));
    const held = measured >= limits.product;
    all.push({ what: 'share of the best product', limit: `${limits.product}`, aim: '', measured, held, reached: held });
  }
  return all;
}
