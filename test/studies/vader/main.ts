import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { getObjective } from '@kelpie/objectives';
import { openPolicy, openTokenizer, type Policy, type PolicyInfo, type Tokenizer, treeOf } from '@kelpie/policy';
import { lexicon, momentsOfRewards, normalised, type Reward } from '@kelpie/rewards';
import {
  jsonl,
  type Logger,
  type OnlinePrompt,
  type OnlineResult,
  rollouts,
  timing,
  trainOnline,
} from '@kelpie/runner';
import { writePart } from '../../bench/document.js';
import { figure, median } from '../../bench/figures.js';
import { machineText } from '../../bench/machine.js';
import { shared } from '../../bench/peers.js';
import { peakRssMb } from '../../bench/processes.js';
import { table } from '../../bench/table.js';
import { beginnings, heldOut } from './prompts.js';

const defaults = {
  out: 'runs/vader',
  steps: '150',
  'learning-rate': '3e-4',
  'penalty-coef': '0.05',
  'max-divergence': '8',
  'max-minutes': '15',
  seed: '0',
};

export const usage = `usage: npm run study -- vader [--write] [options]

PPO with values beside the policy: TinyStories-656K goes on with stories in words that VADER's lexicon finds glad.
Reads models/TinyStories-656K and data/vader of \${KELPIE_SHARED:-../shared}; --out is made anew; --write puts the
report into docs/benchmarks.md.

  ${Object.entries(defaults)
    .map(([name, value]) => `--${name} ${value}`)
    .join(' ')}`;

const maxNewTokens = 64;
/** Completions of each held-out beginning in a measurement. */
const each = 16;
/** Of reference deviations, and minutes: what the run is to reach. */
const wanted = { rise: 1.5, minutes: 15 };

export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      write: { type: 'boolean', default: false },
      ...Object.fromEntries(
        Object.entries(defaults).map(([name, value]) => [name, { type: 'string' as const, default: value }]),
      ),
    },
  });
  const given = values as Record<keyof typeof defaults, string> & { readonly write: boolean };
  const [model, file] = [shared('models/TinyStories-656K'), shared('data/vader/vader_lexicon.txt')];
  for (const path of [model, file]) if (!existsSync(path)) throw new Error(`${path} is not there (KELPIE_SHARED)`);
  const started = performance.now();
  const tokenizer = await openTokenizer(model);
  const prompts = beginnings.map(
    (text, at): OnlinePrompt => ({ id: `beginning-${at + 1}`, text, ids: tokenizer.encode(text) }),
  );
  const [train, held] = [prompts.slice(0, -heldOut), prompts.slice(-heldOut)];
  const reward = await lexicon.open({ file });
  await using policy = await openPolicy({ model, scalarHead: 'beside', keepReference: true });
  const measureOn = (on: readonly OnlinePrompt[]) => measure(policy, { prompts: on, reward, tokenizer });
  const { mean, deviation } = momentsOfRewards((await measureOn(train)).rewards);
  const before = await measureOn(held);
  rmSync(given.out, { recursive: true, force: true });
  const log = (name: string) => join(given.out, name);
  const result = await trainOnline({
    policy,
    tokenizer,
    objective: getObjective('ppo'),
    prompts: train,
    rewards: [{ reward: normalised(reward, { by: { mean, deviation } }), madeOf: { mean, deviation } }],
    options: {
      steps: Number(given.steps),
      learningRate: Number(given['learning-rate']),
      schedule: 'constant',
      rolloutEpochs: 2,
      penalty: 'kl',
      penaltyCoef: Number(given['penalty-coef']),
      maxDivergence: Number(given['max-divergence']),
      maxMinutes: Number(given['max-minutes']),
      maxNewTokens,
      seed: Number(given.seed),
    },
    outFolder: given.out,
    loggers: [jsonl(log('metrics.jsonl')), timing(log('timing.jsonl')), rollouts(log('rollouts.jsonl')), progress()],
  });
  const after = await measureOn(held);
  const minutes = (performance.now() - started) / 60e3;
  const report = reportOf({ before, after, minutes, result, info: policy.info, given, timing: log('timing.jsonl') });
  console.log(report);
  if (given.write) writePart('vader', report);
}

interface Measured {
  readonly rewards: Float64Array;
  /** Mean KL(policy ‖ reference) of a completion, exact, in nats; tokens of a completion. */
  readonly kl: number;
  readonly length: number;
  readonly texts: readonly string[];
}

/** Fresh completions, drawn by the same numbers each time. */
async function measure(
  policy: Policy,
  { prompts, reward, tokenizer }: { prompts: readonly OnlinePrompt[]; reward: Reward; tokenizer: Tokenizer },
): Promise<Measured> {
  const ids = prompts.map((prompt) => prompt.ids);
  const stop = tokenizer.eosTokens;
  const completions = await policy.sample({ prompts: ids, completions: each, maxNewTokens, stop, seed: 1 });
  const rows = completions.map((completion) => ({
    prompt: prompts[completion.prompt]!.text!,
    completion: tokenizer.decode(completion.ids, { skipSpecialTokens: true }),
    ids: completion.ids,
    ended: completion.ended,
    meta: {},
  }));
  const trees = prompts.map(({ ids }, at) => {
    const own = completions.filter(({ prompt }) => prompt === at);
    return treeOf(own.map((completion) => ({ ids: [...ids, ...completion.ids], scoreFrom: ids.length })));
  });
  const { reverseKl } = await policy.score({ trees, scores: ['reverseKl'] });
  const { rewards } = await reward.judge(rows, { state: {} });
  return {
    rewards,
    kl: reverseKl!.reduce((sum, value) => sum + value, 0) / rows.length,
    length: rows.reduce((sum, row) => sum + row.ids.length, 0) / rows.length,
    texts: rows.map(({ prompt, completion }) => prompt + completion),
  };
}

function progress(): Logger {
  return {
    name: 'progress',
    log(event) {
      if (event.type === 'self-check') console.error(event.text);
      if (event.type !== 'step' || event.step % 10 !== 0) return;
      const { reward, 'divergence/kl_exact': kl, explained_variance: explained } = event.metrics;
      const told = { 'reward, in deviations': reward, 'KL, nats': kl, 'explained variance': explained };
      const numbers = Object.entries(told).map(([name, value]) => `${name} ${value?.toFixed(2)}`);
      console.error(`step ${event.step}: ${numbers.join('; ')}`);
    },
  };
}

interface Found {
  readonly before: Measured;
  readonly after: Measured;
  readonly minutes: number;
  readonly result: OnlineResult;
  readonly info: PolicyInfo;
  readonly given: Readonly<Record<keyof typeof defaults, string>>;
  readonly timing: string;
}

function reportOf({ before, after, minutes, result, info, given, timing }: Found): string {
  const [start, end] = [before, after].map(({ rewards }) => momentsOfRewards(rewards));
  const rise = (end!.mean - start!.mean) / start!.deviation;
  const settings = Object.entries(given).flatMap(([name, value]) =>
    name in defaults && name !== 'out' ? [`--${name} ${value}`] : [],
  );
  const row = ({ kl, length }: Measured, { mean, deviation }: typeof start & {}) => [
    mean.toFixed(4),
    deviation.toFixed(4),
    ((mean - start!.mean) / start!.deviation).toFixed(2),
    kl.toFixed(2),
    length.toFixed(1),
  ];
  const held = (reached: boolean) => (reached ? 'limit held' : 'MISSED');
  return [
    `${machineText(info.threads)}.`,
    `PPO, values beside the policy, ${result.step} steps of 8 beginnings x 8 completions of at most ${maxNewTokens} tokens, two passes a step, KL in the reward (${settings.join(' ')}). Reward: mean valence a word, less its mean on the reference's completions and over their deviation. Measured on ${heldOut} beginnings that are held out, ${each} completions each, temperature 1.`,
    table(
      ['held-out beginnings', 'mean valence', 'deviation', 'rise, in reference deviations', 'KL, nats', 'tokens'],
      [
        ['reference', ...row(before, start!)],
        ['trained', ...row(after, end!)],
      ],
    ),
    table(
      ['', 'limit', 'measured', 'so'],
      [
        ['rise, in reference deviations', `${wanted.rise}`, rise.toFixed(2), held(rise >= wanted.rise)],
        ['minutes in all', `${wanted.minutes}`, minutes.toFixed(1), held(minutes <= wanted.minutes)],
        ['peak RSS, MB', '', figure(peakRssMb()), ''],
        ...speedsOf(timing).map(([phase, speed]) => [`${phase}, tokens/s`, '', figure(speed), '']),
      ],
    ),
    'The first completions of three beginnings, before and after:',
    [0, 5, 10]
      .flatMap((at) =>
        [before, after].map(
          ({ texts }, i) => `${i === 0 ? '- ' : '  '}${i === 0 ? 'before' : 'after'}: ${quoted(texts[at * each]!)}`,
        ),
      )
      .join('  \n'),
  ].join('\n\n');
}

const quoted = (text: string): string => `\`${text.replaceAll(/\s+/g, ' ').replaceAll('`', "'").trim()}\``;

/** Completion tokens/s of the median step. */
function speedsOf(file: string): [string, number][] {
  const steps = readFileSync(file, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, number>);
  return ['sampling', 'scoring', 'training'].map((phase) => [
    phase,
    median(steps.flatMap((step) => step[`${phase}_tokens_per_second`] ?? [])),
  ]);
}
