import { join } from 'node:path';
import { plantedError, type Reward } from '@kelpie/rewards';
import { rewardModel } from '@kelpie/runner';
import { wordPairError } from './word-pairs.js';

/** Proxies of the gold reward; those that are swept meet every penalty, the others none. `share` is that of the labels. */
export const arms = {
  labels: { title: 'reward model from few labels', draws: 'labels', share: 1, heavy: false, swept: true },
  'labels-fewer': {
    title: 'reward model from a quarter of them',
    draws: 'labels',
    share: 0.25,
    heavy: false,
    swept: false,
  },
  'pairs-gaussian': { title: 'planted, a draw a word pair, Gaussian', draws: 'word pairs', heavy: false, swept: true },
  'pairs-heavy': { title: 'planted, a draw a word pair, heavy-tailed', draws: 'word pairs', heavy: true, swept: true },
  'texts-gaussian': {
    title: 'planted, a draw a completion, Gaussian',
    draws: 'completions',
    heavy: false,
    swept: false,
  },
  'texts-heavy': {
    title: 'planted, a draw a completion, heavy-tailed',
    draws: 'completions',
    heavy: true,
    swept: false,
  },
} as const;

export type ArmName = keyof typeof arms;
export const armNames = Object.keys(arms) as [ArmName, ...ArmName[]];

/** Pairs that the reward model of an arm is trained on; none for a planted proxy. */
export function labelsOf(arm: ArmName, labels: number): number {
  const own = arms[arm];
  return own.draws === 'labels' ? Math.max(1, Math.round(labels * own.share)) : 0;
}

export interface ProxyOptions {
  readonly seed: number;
  readonly gold: Reward;
  /** Of gold on completions of the base model. */
  readonly moments: { readonly mean: number; readonly deviation: number };
  readonly correlation: number;
  readonly degreesOfFreedom: number;
  /** Folder of the reward model, for an arm that has one. */
  readonly model: string;
  readonly threads: number;
}

/**
 * The proxy of an arm.
 *   a draw a completion     ρ z + √(1 - ρ²) ε, as `plantedError` has it; the errors of two completions have nothing in common
 *   a draw a word pair      the same with the error of `wordPairError`, which a policy can learn; here (z + √(1/ρ² - 1) ε)
 */
export async function openProxy(arm: ArmName, options: ProxyOptions): Promise<Reward> {
  const { seed, gold, moments, correlation, model, threads } = options;
  const { draws, heavy } = arms[arm];
  if (draws === 'labels') return rewardModel.open({ path: join(model, 'model'), threads });
  const degreesOfFreedom = heavy ? options.degreesOfFreedom : Number.POSITIVE_INFINITY;
  if (draws === 'completions') return plantedError(gold, { seed, gold: moments, correlation, degreesOfFreedom });
  const leaning = { on: wordPairError({ seed, degreesOfFreedom }), slope: Math.sqrt(1 / correlation ** 2 - 1) };
  return plantedError(gold, { seed, gold: moments, correlation: 1, leaning });
}
