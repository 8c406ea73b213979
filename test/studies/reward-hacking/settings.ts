import { parseArgs } from 'node:util';
import { count } from '../../bench/settings.js';
import { type ArmName, armNames } from './arms.js';

export const penalties = ['none', 'kl', 'occupancy-chi2', 'occupancy-sqrt-chi2'] as const;
export type Penalty = (typeof penalties)[number];

const critics = ['apart', 'beside'] as const;
export type Critic = (typeof critics)[number];

/** All that decides on a run besides its place in the sweep. Two runs of one folder have the same. */
export interface RunSettings {
  readonly objective: string;
  /** Where values are fitted: in the policy, or in a copy of the base model that the policy's steps do not move. */
  readonly critic: Critic;
  readonly steps: number;
  /** Passes over the completions of a step. */
  readonly epochs: number;
  readonly learningRate: number;
  readonly prompts: number;
  readonly completions: number;
  readonly maxNewTokens: number;
  /** Nats of the ratio to the base model beyond which χ² goes on as its tangent. */
  readonly chi2Clip: number;
  /** Held-out prompts that are completed before and after. */
  readonly evaluate: number;
  /** Pairs that a reward model is trained on, and for how many steps of 16. */
  readonly labels: number;
  readonly labelSteps: number;
  /** Of a planted proxy with the gold reward, on completions of the base model. */
  readonly correlation: number;
  /** Of Student's t: the heavy-tailed error. */
  readonly degreesOfFreedom: number;
  /** Completions of the base model that give every proxy its mean and deviation, and pairs a reward model is tried on. */
  readonly reference: number;
}

export interface Settings {
  readonly run: RunSettings;
  readonly seeds: readonly number[];
  readonly arms: readonly ArmName[];
  /** Weights of each penalty; of `none` there is one, 0. */
  readonly coefficients: Readonly<Record<Penalty, readonly number[]>>;
  readonly out: string;
  /** Runs at once, and threads of each. */
  readonly parallel: number;
  readonly threads: number;
  /** No further run is begun behind so many minutes. */
  readonly minutes: number;
  /** Writes the results into docs/studies. */
  readonly write: boolean;
  /** Draws what is there and runs nothing. */
  readonly drawOnly: boolean;
}

const defaults: RunSettings = {
  objective: 'ppo',
  critic: 'apart',
  steps: 32,
  epochs: 2,
  learningRate: 5e-4,
  prompts: 4,
  completions: 8,
  maxNewTokens: 40,
  chi2Clip: 5,
  evaluate: 96,
  labels: 200,
  labelSteps: 40,
  correlation: 0.5,
  degreesOfFreedom: 2,
  reference: 256,
};

const quick: Partial<RunSettings> = { steps: 2, prompts: 2, completions: 4, maxNewTokens: 8, evaluate: 4, labels: 8 };
const quickToo: Partial<RunSettings> = { labelSteps: 1, reference: 16 };

const whole = [
  'steps',
  'epochs',
  'prompts',
  'completions',
  'maxNewTokens',
  'evaluate',
  'labels',
  'labelSteps',
  'reference',
] as const;
const numbers = ['learningRate', 'chi2Clip', 'correlation', 'degreesOfFreedom'] as const;
const kebab = (name: string): string => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

const sweep = {
  seeds: '0,1,2,3,4',
  arms: armNames.join(','),
  kl: '0.03,0.1,0.3',
  chi2: '0.0005,0.003,0.02',
  'sqrt-chi2': '',
  out: 'runs/reward-hacking',
  parallel: '2',
  threads: '1',
  minutes: '600',
};

export const usage = `npm run study -- reward-hacking [options]

Of the sweep, lists with commas
${Object.entries(sweep)
  .map(([name, value]) => `  --${name.padEnd(20)} ${value}`)
  .join('\n')}
Of each run
${Object.entries(defaults)
  .map(([name, value]) => `  --${kebab(name).padEnd(20)} ${value}`)
  .join('\n')}
  --quick                one seed, tiny runs: whether everything works
  --draw-only            draws what the folder holds, runs nothing
  --write                writes figure and tables into docs/studies`;

export function readSettings(args: readonly string[]): Settings {
  const isQuick = args.includes('--quick');
  const text = (value: unknown) => ({ type: 'string' as const, default: String(value) });
  const places = { ...sweep, ...(isQuick && { seeds: '0', kl: '0.1', chi2: '0.001', out: `${sweep.out}-quick` }) };
  const base = isQuick ? { ...defaults, ...quick, ...quickToo } : defaults;
  const { values } = parseArgs({
    args: [...args],
    options: {
      quick: { type: 'boolean', default: false },
      write: { type: 'boolean', default: false },
      'draw-only': { type: 'boolean', default: false },
      ...Object.fromEntries(Object.entries(places).map(([name, value]) => [name, text(value)])),
      ...Object.fromEntries(Object.entries(base).map(([name, value]) => [kebab(name), text(value)])),
    },
  });
  const given = values as Readonly<Record<string, string | boolean>>;
  const of = (name: string) => String(given[kebab(name)]);
  return {
    run: {
      objective: of('objective'),
      critic: criticNamed(of('critic')),
      ...(Object.fromEntries(whole.map((name) => [name, count(kebab(name), of(name))])) as Pick<
        RunSettings,
        (typeof whole)[number]
      >),
      ...(Object.fromEntries(numbers.map((name) => [name, positive(kebab(name), of(name))])) as Pick<
        RunSettings,
        (typeof numbers)[number]
      >),
    },
    seeds: list(of('seeds')).map((seed) => count('seeds', String(Number(seed) + 1)) - 1),
    arms: list(of('arms')).map(armNamed),
    coefficients: {
      none: [0],
      kl: list(of('kl')).map((value) => positive('kl', value)),
      'occupancy-chi2': list(of('chi2')).map((value) => positive('chi2', value)),
      'occupancy-sqrt-chi2': list(of('sqrt-chi2')).map((value) => positive('sqrt-chi2', value)),
    },
    out: of('out'),
    parallel: count('parallel', of('parallel')),
    threads: count('threads', of('threads')),
    minutes: positive('minutes', of('minutes')),
    write: given.write === true,
    drawOnly: given['draw-only'] === true,
  };
}

const list = (text: string): string[] => text.split(',').filter((part) => part !== '');

function positive(name: string, text: string): number {
  const value = Number(text);
  if (!(value > 0 && Number.isFinite(value))) throw new Error(`--${name}: expected a number above 0, got ${text}`);
  return value;
}

function armNamed(name: string): ArmName {
  const found = armNames.find((arm) => arm === name);
  if (found === undefined) throw new Error(`--arms: expected some of ${armNames.join(', ')}, got ${name}`);
  return found;
}

function criticNamed(name: string): Critic {
  const known = critics.find((critic) => critic === name);
  if (known === undefined) throw new Error(`--critic: expected one of ${critics.join(', ')}, got ${name}`);
  return known;
}
