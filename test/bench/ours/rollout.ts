import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { grpo, type Objective } from '@kelpie/objectives';
import { type OpenOptions, openPolicy, openTokenizer, type Policy } from '@kelpie/policy';
import { lexicon } from '@kelpie/rewards';
import {
  jsonl,
  type Logger,
  type OnlineOptionsInput,
  type OnlinePrompt,
  rollouts,
  timing,
  trainOnline,
} from '@kelpie/runner';
import { answer, given, peakRssMb } from '../processes.js';
import { type OperatorTime, readProfiles } from '../profile.js';
import { type Split, Taken } from '../split.js';

export interface RolloutInput {
  readonly open: OpenOptions;
  readonly tokenizer: string;
  /** A prompt a line; and words with valences. */
  readonly prompts: string;
  readonly lexicon: string;
  readonly beta: number;
  readonly options: OnlineOptionsInput;
  /** In this thread instead of a worker, to see where the time goes; with `profile`, by operator as well. */
  readonly take?: 'split' | 'profile';
}

export interface RolloutOutput {
  readonly parameters: number;
  readonly completions: number;
  readonly tokens: number;
  /** From opened model and read prompts to the last step, its files written. */
  readonly seconds: number;
  readonly stepSeconds: readonly number[];
  /** By phase, of each step. */
  readonly phases: Readonly<Record<string, readonly number[]>>;
  readonly rewards: readonly number[];
  readonly divergences: readonly number[];
  readonly peakRssMb: number;
  readonly split?: Split;
  readonly operators?: readonly OperatorTime[];
}

/** `kelpie train grpo` without its evaluation, self-check and saved model: what a peer's trainer does as well. */
async function run({ open, tokenizer: folder, take, ...input }: RolloutInput): Promise<void> {
  const outFolder = await mkdtemp(join(tmpdir(), 'kelpie-bench-'));
  try {
    const taken = take && new Taken(take === 'profile' ? outFolder : undefined);
    const opening = { ...open, keepReference: true };
    const policy: Policy = taken ? await taken.open(opening) : await openPolicy(opening);
    const tokenizer = await openTokenizer(folder);
    const reward = await lexicon.open({ file: input.lexicon });
    const lines = (await readFile(input.prompts, 'utf8')).split('\n').filter((line) => line.trim() !== '');
    const prompts = lines.map((text, at): OnlinePrompt => ({ id: `${at}`, text, ids: tokenizer.encode(text) }));
    const file = (name: string) => join(outFolder, 'run', name);
    const clock = new Clock();
    taken?.begin();
    const started = performance.now();
    await trainOnline({
      policy,
      tokenizer,
      prompts,
      objective: grpo as Objective,
      objectiveOptions: { beta: input.beta, aggregation: 'tokens' },
      rewards: [{ reward }],
      options: { ...input.options, schedule: 'constant' },
      outFolder: join(outFolder, 'run'),
      loggers: [clock, jsonl(file('metrics.jsonl')), timing(file('timing.jsonl')), rollouts(file('rollouts.jsonl'))],
      save: false,
      selfCheckTolerance: false,
    });
    const seconds = (performance.now() - started) / 1000;
    const split = taken?.split();
    answer({
      parameters: policy.info.parameters,
      seconds,
      ...clock.found,
      peakRssMb: peakRssMb(),
      ...(split && { split }),
      ...(taken &&
        take === 'profile' && {
          operators: readProfiles(taken.watch.sessions, { folder: outFolder, from: taken.started }),
        }),
    } satisfies RolloutOutput);
    await policy.dispose();
  } finally {
    await rm(outFolder, { recursive: true, force: true });
  }
}

/** Reads times and rewards off the run's events. */
class Clock implements Logger {
  readonly name = 'clock';
  readonly found = {
    completions: 0,
    tokens: 0,
    stepSeconds: [] as number[],
    phases: {} as Record<string, number[]>,
    rewards: [] as number[],
    divergences: [] as number[],
  };
  #last = performance.now();

  log(event: Parameters<Logger['log']>[0]): void {
    if (event.type === 'start') this.#last = performance.now();
    if (event.type === 'rollouts') this.found.completions += event.rows.length;
    if (event.type !== 'step') return;
    const now = performance.now();
    const { stepSeconds, phases, rewards, divergences } = this.found;
    stepSeconds.push((now - this.#last) / 1000);
    this.#last = now;
    for (const [phase, { seconds }] of Object.entries(event.timing.phases ?? {})) {
      phases[phase] = [...(phases[phase] ?? []), seconds];
    }
    this.found.tokens += event.timing.phases?.sampling?.tokens ?? 0;
    rewards.push(event.metrics.reward ?? Number.NaN);
    divergences.push(event.metrics['divergence/kl_exact'] ?? Number.NaN);
  }
}

await run(given<RolloutInput>());
