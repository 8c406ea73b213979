import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { figure, median, percent, spread, timesOf } from '../figures.js';
import { machineText } from '../machine.js';
import type { RolloutInput, RolloutOutput } from '../ours/rollout.js';
import { peerPython, runPeer, shared } from '../peers.js';
import { ours } from '../processes.js';
import { productShare, profileTable } from '../profile.js';
import { interleaved } from '../rounds.js';
import { count, readSettings, type Settings } from '../settings.js';
import { shape42M, startWithTokenizer } from '../shape.js';
import { splitTable } from '../split.js';
import { table } from '../table.js';

export const defaults = { models: 'small,large', steps: '', completions: '8', tokens: '64' };

interface PeerOutput {
  readonly versions: Readonly<Record<string, string>>;
  readonly train_s: number;
  readonly completions_per_s: number;
  readonly mean_length: number;
  readonly rewards: readonly number[];
  readonly step_s: readonly number[];
  readonly peak_rss_mb: number;
}

/** What is compared, of ours and of a peer's. */
interface Measured {
  readonly completionsPerSecond: number;
  readonly stepSeconds: number;
  readonly peakRssMb: number;
  readonly meanLength: number;
  readonly firstReward: number;
  readonly versions?: Readonly<Record<string, string>>;
  /** Seconds of a step by phase, of ours. */
  readonly phases?: Readonly<Record<string, number>>;
}

const kelpie = 'Kelpie';
const withoutExact = 'Kelpie, no exact divergence';
const trl = 'TRL';
const learningRate = 1e-4;
const beta = 0.05;

interface Model {
  readonly title: string;
  readonly prompts: number;
  /** Without `--steps`. */
  readonly steps: number;
  /** Times TRL's completions/s. */
  readonly limit: number;
  /** A folder with weights and tokenizer; in `folder`, if it has to be made. */
  readonly open: (folder: string, python: string | undefined) => Promise<RolloutInput['open']>;
}

const models: Readonly<Record<string, Model>> = {
  small: {
    title: 'TinyStories-656K',
    prompts: 8,
    steps: 12,
    limit: 2.5,
    open: async () => ({ model: shared('models/TinyStories-656K') }),
  },
  large: {
    title: '41.7M parameters',
    prompts: 4,
    steps: 4,
    limit: 1.6,
    open: (folder, python) => startWithTokenizer(folder, shape42M, 'phi-3-mini', python),
  },
};

/** GRPO end to end of two models, beside TRL. */
export async function run(args: readonly string[]): Promise<{ settings: Settings; report: string }> {
  const settings = readSettings(args, defaults);
  const peer = peerPython();
  if ('missing' in peer) console.error(peer.missing);
  const parts: string[] = [];
  let named = '';
  for (const name of (settings.own.models ?? '').split(',')) {
    const model = Object.hasOwn(models, name) ? models[name]! : undefined;
    if (model === undefined) throw new Error(`--models: expected ${Object.keys(models).join()}, got ${name}`);
    const folder = mkdtempSync(join(tmpdir(), 'kelpie-bench-'));
    try {
      const part = await measure(settings, { model, folder, peer });
      parts.push(part.report);
      named ||= part.versions;
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }
  const { own, rounds, threads } = settings;
  const how = `${own.completions} completions of each prompt, ${own.tokens} tokens at most, one update a step, temperature 1, AdamW at ${learningRate}, float32, full fine-tuning, mean over tokens, clip 0.2, k3 penalty of ${beta} against the start in the loss, reward: mean valence of VADER's lexicon a word. Completions/s over the whole run, first steps and files included; medians of ${rounds} interleaved rounds, in brackets the range.`;
  const which = `Both sides draw, judge, score by the reference and learn in one update a step, so that neither scores its own completions apart. Kelpie has a default run's settings, without evaluation, self-check and saved model, which TRL has not either: it keeps every completion in rollouts.jsonl, and measures entropy and both exact divergences over the whole vocabulary. TRL measures the entropy; the line without exact divergences (\`divergence: false\`) is the like-for-like.`;
  return {
    settings,
    report: [
      `${machineText(threads)}${named === '' ? '' : `; ${named}`}.`,
      how,
      which,
      ...('missing' in peer ? [`${peer.missing}.`] : []),
      ...parts,
    ].join('\n\n'),
  };
}

interface Place {
  readonly model: Model;
  readonly folder: string;
  readonly peer: ReturnType<typeof peerPython>;
}

async function measure(settings: Settings, { model, folder, peer }: Place) {
  const { own, rounds, threads } = settings;
  const [steps, completions, tokens] = [
    own.steps === '' ? model.steps : count('steps', own.steps),
    count('completions', own.completions),
    count('tokens', own.tokens),
  ];
  const python = 'python' in peer ? peer.python : undefined;
  const start = await model.open(folder, python);
  const prompts = shared('bench/prompts.txt');
  const lexicon = shared('data/vader/vader_lexicon.txt');
  for (const file of [prompts, lexicon]) if (!existsSync(file)) throw new Error(`${file} is not there (KELPIE_SHARED)`);
  const input: RolloutInput = {
    open: { ...start, threads },
    tokenizer: 'model' in start ? start.model! : folder,
    prompts,
    lexicon,
    beta,
    options: { steps, promptsPerStep: model.prompts, completions, maxNewTokens: tokens, learningRate },
  };
  const plain: RolloutInput = { ...input, options: { ...input.options, divergence: false } };
  console.error(model.title);
  let parameters = 0;
  const mine = (given: RolloutInput) => async () => {
    const output = await ours<RolloutInput, RolloutOutput>('rollout', given);
    parameters = output.parameters;
    return ofOurs(output);
  };
  const flags = { steps, prompts: model.prompts, generations: completions, tokens, lr: learningRate, beta, threads };
  const list = Object.entries(flags).flatMap(([name, value]) => [`--${name}`, value]);
  const theirs = async () =>
    ofPeer(await runPeer<PeerOutput>(python!, 'trl_grpo.py', [input.tokenizer, prompts, lexicon, ...list]));
  const results = await interleaved<Measured>(
    [
      ...(python === undefined ? [] : [{ name: trl, optional: true, run: theirs }]),
      { name: kelpie, run: mine(input) },
      { name: withoutExact, run: mine(plain) },
    ],
    rounds,
    ({ completionsPerSecond, peakRssMb }) => `${figure(completionsPerSecond)} completions/s, ${figure(peakRssMb)} MB`,
  );
  const ratio = median(ratios(results, kelpie));
  const take = (what: 'split' | 'profile') => ours<RolloutInput, RolloutOutput>('rollout', { ...input, take: what });
  const missed = results.has(trl) && ratio < model.limit;
  const split = await take('split');
  const operators = settings.profile || missed ? (await take('profile')).operators : undefined;
  const versions = Object.entries(results.get(trl)?.[0]?.versions ?? {});
  const report = [
    `### ${model.title}`,
    `${(parameters / 1e6).toFixed(2)}M parameters, ${model.prompts} prompts a step, ${steps} steps.`,
    speedTable(results),
    ...(results.has(trl)
      ? [
          table(
            ['', 'limit', 'measured', 'so'],
            [['completions/s against TRL', `${model.limit}`, figure(ratio), missed ? 'MISSED' : 'limit held']],
          ),
        ]
      : []),
    phaseTable(results.get(kelpie)!),
    'The same by sessions, in one thread:',
    splitTable(split.split!, steps),
    ...(operators === undefined
      ? []
      : [
          `Operators within the sessions (matrix products ${percent(productShare(operators))}):`,
          profileTable(operators, steps),
        ]),
  ].join('\n\n');
  return { report, versions: versions.map((version) => version.join(' ')).join(', ') };
}

function ofPeer({ completions_per_s, step_s, peak_rss_mb, mean_length, rewards, versions }: PeerOutput): Measured {
  return {
    completionsPerSecond: completions_per_s,
    stepSeconds: median(step_s.slice(1)),
    // The script divides KiB by 1024.
    peakRssMb: (peak_rss_mb * 2 ** 20) / 1e6,
    meanLength: mean_length,
    firstReward: rewards[0]!,
    versions,
  };
}

function ofOurs({ completions, seconds, stepSeconds, phases, tokens, rewards, peakRssMb }: RolloutOutput): Measured {
  return {
    completionsPerSecond: completions / seconds,
    stepSeconds: median(stepSeconds.slice(1)),
    peakRssMb,
    meanLength: tokens / completions,
    firstReward: rewards[0]!,
    phases: Object.fromEntries(Object.entries(phases).map(([phase, all]) => [phase, median(all.slice(1))])),
  };
}

type Results = ReadonlyMap<string, readonly Measured[]>;

const rates = (all: readonly Measured[]) => all.map(({ completionsPerSecond }) => completionsPerSecond);
const ratios = (results: Results, name: string) =>
  timesOf(rates(results.get(name) ?? []), rates(results.get(trl) ?? []));

function speedTable(results: Results): string {
  const rows = [...results].map(([name, all]) => [
    name,
    spread(rates(all)),
    name === trl || !results.has(trl) ? '' : `${spread(ratios(results, name))} times`,
    spread(all.map(({ stepSeconds }) => stepSeconds)),
    spread(all.map(({ peakRssMb }) => peakRssMb)),
    figure(median(all.map(({ meanLength }) => meanLength))),
    median(all.map(({ firstReward }) => firstReward)).toFixed(3),
  ]);
  return table(['', 'completions/s', "TRL's", 'step, s', 'peak RSS, MB', 'tokens each', 'reward of step 1'], rows);
}

/** What a step goes into, as the run tells it. */
function phaseTable(all: readonly Measured[]): string {
  const names = Object.keys(all[0]?.phases ?? {});
  const seconds = names.map((phase) => all.map(({ phases }) => phases![phase]!));
  const steps = all.map(({ stepSeconds }) => stepSeconds);
  const rest = all.map(
    ({ stepSeconds, phases }) => stepSeconds - names.reduce((sum, phase) => sum + phases![phase]!, 0),
  );
  const share = (values: readonly number[]) => percent(median(values) / median(steps));
  const lines = [...names.map((phase, i) => [phase, seconds[i]!] as const), ['rest', rest] as const];
  return table(
    ['phase of a step', 's', 'share'],
    lines.map(([name, values]) => [name, spread(values), share(values)]),
  );
}
