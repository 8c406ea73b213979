import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Objective, sft } from '@kelpie/objectives';
import { type OpenOptions, openPolicy, type Policy } from '@kelpie/policy';
import { accumulate, partOf } from '@kelpie/runner';
import { median } from '../figures.js';
import { answer, given, peakRssMb } from '../processes.js';
import { bestProduct } from '../product.js';
import { type OperatorTime, readProfiles } from '../profile.js';
import { randomIds } from '../random-rows.js';
import { type Split, Taken } from '../split.js';

export interface TrainInput {
  readonly open: OpenOptions;
  /** Rows of random ids below `vocabulary`, each `length` long; every token but the first is a target. */
  readonly rows: number;
  readonly length: number;
  readonly vocabulary: number;
  readonly repeats: number;
  readonly threads: number;
  readonly take?: 'split' | 'profile';
}

export interface TrainOutput {
  readonly parameters: number;
  /** Medians. */
  readonly gradientMs: number;
  readonly optimizerMs: number;
  /** GFLOP/s of a 2048 x 2048 product in ONNX Runtime. */
  readonly bestProduct: number;
  readonly loss: number;
  readonly peakRssMb: number;
  readonly steps: number;
  readonly split?: Split;
  readonly operators?: readonly OperatorTime[];
}

const warmUp = 3;

/** Dense steps of supervised fine-tuning: the runner's step, without the loop around it. */
async function run({ open, rows, length, vocabulary, repeats, threads, take }: TrainInput): Promise<void> {
  const before = await bestProduct(threads);
  const folder = await mkdtemp(join(tmpdir(), 'kelpie-bench-'));
  try {
    const taken = take && new Taken(take === 'profile' ? folder : undefined);
    const policy: Policy = taken ? await taken.open(open) : await openPolicy(open);
    // As torch.optim.AdamW has it, and without clipping, as the peer's step.
    await policy.optimizer({ weightDecay: 0.01, decay: 'all', maxGradNorm: 0 });
    const examples = Array.from({ length: rows }, (_, row) => ({
      id: String(row),
      tree: { trunk: [], branches: [{ ids: randomIds(length, vocabulary, row), scoreFrom: 1 }] },
    }));
    const part = partOf('single', { examples, reference: {} }, [...examples.keys()]);
    const [gradient, optimizer]: [number[], number[]] = [[], []];
    let last = Number.NaN;
    for (let i = 0; i < warmUp + repeats; i++) {
      if (i === warmUp) taken?.begin();
      const started = performance.now();
      const { loss } = await accumulate({ policy, objective: sft as Objective }, [part], { step: i, entropy: false });
      const between = performance.now();
      await policy.step(1e-3);
      last = loss;
      if (i < warmUp) continue;
      gradient.push(between - started);
      optimizer.push(performance.now() - between);
    }
    const split = taken?.split();
    const operators =
      taken && take === 'profile' ? readProfiles(taken.watch.sessions, { folder, from: taken.started }) : undefined;
    const { parameters } = policy.info;
    const peak = peakRssMb();
    await policy.dispose();
    answer({
      parameters,
      gradientMs: median(gradient),
      optimizerMs: median(optimizer),
      bestProduct: Math.max(before, await bestProduct(threads)),
      loss: last,
      peakRssMb: peak,
      steps: repeats,
      ...(split && { split }),
      ...(operators && { operators }),
    } satisfies TrainOutput);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

await run(given<TrainInput>());
