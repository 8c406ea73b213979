import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { OpenOptions } from '@kelpie/policy';
import { figure, median, spread } from '../figures.js';
import { machineText } from '../machine.js';
import type { DpoInput, DpoOutput } from '../ours/dpo.js';
import { shared } from '../peers.js';
import { ours } from '../processes.js';
import { type Contestant, interleaved } from '../rounds.js';
import { count, counts, readSettings, type Settings } from '../settings.js';
import { shape42M, startWithTokenizer } from '../shape.js';
import { table } from '../table.js';

export const defaults = {
  rows: '16',
  batch: '8',
  'max-length': '512',
  'micro-batch-tokens': '512,1024,2048,4096',
  lora: '16',
  hidden: String(shape42M.hidden),
  layers: String(shape42M.layers),
  heads: String(shape42M.heads),
};

/** Peak memory of DPO by what is computed at once, against what has to be there. */
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
  const [rows, batchSize, rank] = [count('rows', own.rows), count('batch', own.batch), count('lora', own.lora)];
  const maxLength = count('max-length', own['max-length']);
  const shape = {
    ...shape42M,
    hidden: count('hidden', own.hidden),
    layers: count('layers', own.layers),
    heads: count('heads', own.heads),
  };
  const pairs = join(folder, 'pairs.jsonl');
  const lines = readFileSync(shared('data/hh-rlhf-harmless/pairs.jsonl'), 'utf8').split('\n');
  writeFileSync(pairs, `${lines.slice(0, rows).join('\n')}\n`);
  const model = join(folder, 'model');
  const start = await startWithTokenizer(model, shape, 'phi-3-mini', undefined);
  const budgets = counts('micro-batch-tokens', own['micro-batch-tokens']);
  const variant = (name: string, microBatchTokens: number, open: Partial<OpenOptions> = {}): Contestant<DpoOutput> => ({
    name: `${name}, ${microBatchTokens} tokens at once`,
    run: () =>
      ours<DpoInput, DpoOutput>('dpo', {
        open: { ...start, threads, keepReference: true, ...open },
        tokenizer: model,
        pairs,
        maxLength,
        beta: 0.1,
        options: { learningRate: 1e-5, batchSize, microBatchTokens },
      }),
  });
  const lora = { rank, alpha: 2 * rank, targetModules: 'all-linear' as const };
  const results = await interleaved<DpoOutput>(
    [
      ...budgets.map((budget) => variant('all weights', budget)),
      variant('all weights, nothing kept', budgets.at(-1)!, { keep: 'nothing' }),
      ...budgets.map((budget) => variant(`LoRA of rank ${rank}`, budget, { lora })),
    ],
    rounds,
    ({ peakRssMb, seconds }) => `${figure(peakRssMb)} MB, ${figure(seconds)} s`,
  );
  const outputs = [...results.values()].flat();
  const empty = median(outputs.map(({ emptyRssMb }) => emptyRssMb));
  const { parameters, tokensInTrees } = outputs[0]!;
  return [
    `${machineText(threads)}.`,
    `DPO, ${(parameters / 1e6).toFixed(1)}M parameters, ${rows} pairs of hh-rlhf-harmless (${figure(tokensInTrees)} tokens with shared prompts once), batch ${batchSize}, length ${maxLength}, float32, the start kept as the reference; medians of ${rounds} interleaved rounds, in brackets the range.`,
    `The floor is what has to be there: weights, their gradients and two moments, and the copy of the start (LoRA's reference is its base, so it has none). An empty process with the libraries loaded takes ${figure(empty)} MB.`,
    table(
      ['', 'peak RSS, MB', 'floor, MB', 'times the floor', 'above floor and empty process, MB', 's'],
      [...results].map(([name, all]) => {
        const peak = median(all.map(({ peakRssMb }) => peakRssMb));
        const floor = floorMb(all[0]!);
        return [
          name,
          spread(all.map(({ peakRssMb }) => peakRssMb)),
          figure(floor),
          figure(peak / floor),
          figure(peak - floor - empty),
          spread(all.map(({ seconds }) => seconds)),
        ];
      }),
    ),
  ].join('\n\n');
}

/** Four bytes a number: every weight, and of each trained one its gradient and two moments. */
function floorMb({ parameters, trainedParameters }: DpoOutput): number {
  const full = trainedParameters === parameters;
  const numbers = full ? 5 * parameters : parameters + 4 * trainedParameters;
  return (4 * numbers) / 1e6;
}
