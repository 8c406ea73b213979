import { existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { writeDecoderExport } from '../decoder-export.js';
import { figure, median, spread, timesOf } from '../figures.js';
import { machineText } from '../machine.js';
import type { DecodeInput, DecodeOutput } from '../ours/decode.js';
import { peerPython, runPeer, shared } from '../peers.js';
import { ours, runForJson } from '../processes.js';
import { interleaved } from '../rounds.js';
import { count, counts, readSettings, type Settings } from '../settings.js';
import { ourStart, shape42M, startByPeer } from '../shape.js';
import { table } from '../table.js';

export const defaults = { batches: '1,8,32', prompt: '64', tokens: '128', group: '8' };

interface Measured {
  readonly decode: Readonly<Record<string, { readonly tokens_per_s: number }>>;
  readonly versions?: Readonly<Record<string, string>>;
}

const [kelpie, groups, transformers, transformersJs] = [
  'Kelpie',
  'Kelpie, shared prompts',
  'transformers',
  'transformers.js',
];

/** Times the peer's tokens/s. */
const limits = [
  { peer: transformers, rows: 1, limit: 2.5 },
  { peer: transformers, rows: 32, limit: 3 },
  { peer: transformersJs, rows: 32, limit: 7 },
] as const;

/** Sampling beside transformers and transformers.js. */
export async function run(args: readonly string[]): Promise<{ settings: Settings; report: string }> {
  const settings = readSettings(args, defaults);
  const { own, rounds, threads } = settings;
  const batches = counts('batches', own.batches);
  const [prompt, tokens, group] = [count('prompt', own.prompt), count('tokens', own.tokens), count('group', own.group)];
  const lengths = ['--prompt', prompt, '--tokens', tokens, '--batches', batches.join()];
  const folder = mkdtempSync(join(tmpdir(), 'kelpie-bench-'));
  try {
    const peer = peerPython();
    const js = transformersJsIn(folder);
    const missing = [peer, js].flatMap((found) => ('missing' in found ? [found.missing] : []));
    for (const text of missing) console.error(text);
    const model = join(folder, 'llama');
    const start = 'python' in peer ? await startByPeer(model, shape42M, peer.python) : ourStart(model, shape42M);
    if ('folder' in js) writeDecoderExport(join(js.folder, 'models', 'export'), shape42M);
    const input = { open: { ...start, threads }, vocabulary: shape42M.vocabulary, prompt, tokens, batches };
    const results = await interleaved<Measured>(
      [
        ...('python' in peer
          ? [
              {
                name: transformers,
                optional: true,
                run: () =>
                  runPeer<Measured>(peer.python, 'transformers_generate.py', [
                    ...[model, ...lengths, '--threads', threads, '--score', '1x8'],
                  ]),
              },
            ]
          : []),
        ...('folder' in js
          ? [
              {
                name: transformersJs,
                optional: true,
                run: () => {
                  const script = shared('bench/transformersjs_generate.mjs');
                  const list = [script, join(js.folder, 'models'), 'export', ...lengths.map(String)];
                  return runForJson<Measured>(process.execPath, list, { cwd: js.folder });
                },
              },
            ]
          : []),
        { name: kelpie, run: () => ours<DecodeInput, DecodeOutput>('decode', { ...input, group: 1 }) },
        { name: groups, run: () => ours<DecodeInput, DecodeOutput>('decode', { ...input, group }) },
      ],
      rounds,
      ({ decode }) => batches.map((rows) => `${rows}: ${figure(decode[rows]!.tokens_per_s)} tokens/s`).join(', '),
    );
    const left = [transformers, transformersJs].filter((name) => !results.has(name));
    const absent = left.length > 0 ? [`Not measured: ${[...left, ...missing].join('; ')}.`] : [];
    const versions = [...results.values()].flatMap(([first]) => Object.entries(first?.versions ?? {}));
    const named = new Map(versions.filter(([name]) => name !== 'node'));
    const machine = [machineText(threads), ...[...named].map((version) => version.join(' '))].join('; ');
    const what = `41.7M parameters, prompts of ${prompt} tokens, ${tokens} new ones each, temperature 1, float32, prefill included; tokens/s by rows decoded side by side; with shared prompts, up to ${group} completions of each; medians of ${rounds} interleaved rounds, in brackets the range.`;
    return {
      settings,
      report: [`${machine}.`, what, ...absent, speedTable(results, batches), limitTable(results, batches)].join('\n\n'),
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * A folder in which Node finds `@huggingface/transformers`, or why there is none: the repository has it under the name it
 * was first published by.
 */
function transformersJsIn(folder: string): { readonly folder: string } | { readonly missing: string } {
  const missing = '@huggingface/transformers is not installed: transformers.js is not measured';
  try {
    const entry = realpathSync(createRequire(import.meta.url).resolve('@xenova/transformers'));
    let root = dirname(entry);
    while (!existsSync(join(root, 'package.json'))) root = dirname(root);
    const place = join(folder, 'transformersjs');
    mkdirSync(join(place, 'node_modules', '@huggingface'), { recursive: true });
    symlinkSync(root, join(place, 'node_modules', '@huggingface', 'transformers'));
    return existsSync(shared('bench'))
      ? { folder: place }
      : { missing: 'the peer scripts are not there (KELPIE_SHARED)' };
  } catch {
    return { missing };
  }
}

type Results = ReadonlyMap<string, readonly Measured[]>;

const speeds = (all: readonly Measured[], rows: number) => all.map(({ decode }) => decode[rows]!.tokens_per_s);

function speedTable(results: Results, batches: readonly number[]): string {
  const rows = [...results].map(([name, all]) => [name, ...batches.map((rows) => spread(speeds(all, rows)))]);
  return table(['tokens/s at', ...batches.map((rows) => `${rows} ${rows === 1 ? 'row' : 'rows'}`)], rows);
}

function limitTable(results: Results, batches: readonly number[]): string {
  const ratio = (peer: string, rows: number) =>
    median(timesOf(speeds(results.get(kelpie)!, rows), speeds(results.get(peer)!, rows)));
  const rows = [transformers, transformersJs].flatMap((peer) =>
    (results.has(peer) ? batches : []).map((rows) => {
      const limit = limits.find((of) => of.peer === peer && of.rows === rows)?.limit;
      const measured = ratio(peer, rows);
      const so = limit === undefined ? '' : measured >= limit ? 'limit held' : 'MISSED';
      return [`times ${peer} at ${rows}`, limit === undefined ? '' : String(limit), figure(measured), so];
    }),
  );
  return rows.length === 0 ? 'No peer to compare with.' : table(['', 'limit', 'measured', 'so'], rows);
}
