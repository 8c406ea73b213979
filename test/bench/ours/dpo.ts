import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadPreferences } from '@kelpie/data';
import { dpo, type Objective } from '@kelpie/objectives';
import { type OpenOptions, openPolicy, openTokenizer, type Policy } from '@kelpie/policy';
import { type Logger, type TrainOptionsInput, trainOffline } from '@kelpie/runner';
import { answer, given, peakRssMb } from '../processes.js';
import { type OperatorTime, readProfiles } from '../profile.js';
import { type Split, Taken } from '../split.js';

export interface DpoInput {
  readonly open: OpenOptions;
  readonly tokenizer: string;
  readonly pairs: string;
  readonly maxLength: number;
  readonly beta: number;
  readonly options: TrainOptionsInput;
  /** In this thread instead of a worker, to see where the time goes; with `profile`, by operator as well. */
  readonly take?: 'split' | 'profile';
}

export interface DpoOutput {
  readonly rows: number;
  /** Of whole sequences; and with what a pair shares counted once. */
  readonly tokens: number;
  readonly tokensInTrees: number;
  readonly parameters: number;
  readonly trainedParameters: number;
  /** From opened model and loaded rows to the last step, the reference pass included. */
  readonly seconds: number;
  readonly referenceSeconds: number;
  readonly stepSeconds: readonly number[];
  readonly losses: readonly number[];
  /** Before the model was opened. */
  readonly emptyRssMb: number;
  readonly peakRssMb: number;
  readonly split?: Split;
  readonly operators?: readonly OperatorTime[];
}

/** `kelpie train dpo` without its evaluation, samples, self-check and saved model: what a peer's trainer does as well. */
async function run({ open, tokenizer: folder, pairs, maxLength, beta, options, take }: DpoInput): Promise<void> {
  const emptyRssMb = process.memoryUsage().rss / 1e6;
  const outFolder = await mkdtemp(join(tmpdir(), 'kelpie-bench-'));
  try {
    const taken = take && new Taken(take === 'profile' ? outFolder : undefined);
    const policy: Policy = taken ? await taken.open(open) : await openPolicy(open);
    const tokenizer = await openTokenizer(folder);
    const { examples, report } = await loadPreferences({
      files: [pairs],
      tokenizer,
      maxLength,
      vocabularySize: policy.info.vocabularySize,
      truncation: 'end',
    });
    const clock = new Clock(() => taken?.begin());
    await trainOffline({
      policy,
      objective: dpo as Objective,
      objectiveOptions: { beta },
      examples,
      options: { ...options, shuffle: false, samplePrompts: 0 },
      outFolder: join(outFolder, 'run'),
      loggers: [clock],
      save: false,
      selfCheckTolerance: false,
    });
    const seconds = (performance.now() - clock.started) / 1000;
    const split = taken?.split();
    answer({
      rows: examples.length,
      tokens: report.tokens.total,
      tokensInTrees: report.tokens.inTrees,
      parameters: policy.info.parameters,
      trainedParameters: policy.info.trainedParameters,
      seconds,
      referenceSeconds: clock.referenceSeconds,
      stepSeconds: clock.stepSeconds,
      losses: clock.losses,
      emptyRssMb,
      peakRssMb: peakRssMb(),
      ...(split && { split }),
      ...(taken &&
        take === 'profile' && {
          operators: readProfiles(taken.watch.sessions, { folder: outFolder, from: taken.started }),
        }),
    } satisfies DpoOutput);
    await policy.dispose();
  } finally {
    await rm(outFolder, { recursive: true, force: true });
  }
}

/** Reads times and losses off the run's events. */
class Clock implements Logger {
  readonly name = 'clock';
  readonly losses: number[] = [];
  readonly stepSeconds: number[] = [];
  readonly started = performance.now();
  referenceSeconds = 0;
  readonly #scored: () => void;

  constructor(scored: () => void) {
    this.#scored = scored;
  }

  log(event: Parameters<Logger['log']>[0]): void {
    if (event.type === 'reference-progress' && event.of === 'train' && event.done === event.total) {
      this.referenceSeconds = (performance.now() - this.started) / 1000;
      this.#scored();
    }
    if (event.type === 'step') {
      this.losses.push(event.loss);
      this.stepSeconds.push(event.timing.seconds);
    }
  }
}

await run(given<DpoInput>());
