import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { getObjective } from '@kelpie/objectives';
import { openPolicy, type Tokenizer } from '@kelpie/policy';
import { normalised, type Reward } from '@kelpie/rewards';
import { type Logger, trainOnline } from '@kelpie/runner';
import { type ArmName, openProxy } from './arms.js';
import type { Moments, Reference, Standing } from './reference.js';
import type { Penalty, RunSettings } from './settings.js';
import { base, gold, promptsOf } from './shipped.js';

/** One run of the sweep. */
export interface Place {
  readonly arm: ArmName;
  readonly penalty: Penalty;
  readonly coefficient: number;
  readonly seed: number;
}

/** Means of the completions of one step or evaluation. Rewards are in deviations of the base model's completions. */
export interface Point {
  readonly step: number;
  readonly proxy: number;
  readonly gold: number;
  /** Nats a completion. */
  readonly kl: number;
  readonly forwardKl: number;
  /** log(1 + χ²) as the completions estimate it: their largest ratio is most of it. */
  readonly logChi2: number;
  readonly length: number;
  readonly entropy: number;
}

export interface RunRecord extends Place {
  readonly settings: RunSettings;
  /** Of proxy and gold on completions of the base model. */
  readonly correlation: number;
  readonly steps: readonly Point[];
  /** Steps at which the run warned that its reward rises while the true score falls. */
  readonly warned: readonly number[];
  /** Held-out prompts: before the first step and after the last. */
  readonly evaluations: readonly Point[];
  /** Completions of the same prompts, before and after. */
  readonly samples: readonly { readonly prompt: string; readonly before: string; readonly after: string }[];
  readonly seconds: number;
}

export const nameOf = ({ arm, penalty, coefficient, seed }: Place): string =>
  `${arm}-${penalty}${penalty === 'none' ? '' : `-${coefficient}`}-seed-${seed}`;

interface Given {
  readonly settings: RunSettings;
  readonly tokenizer: Tokenizer;
  readonly reference: Reference;
  /** The proxy on the reference's completions. */
  readonly standing: Standing;
  /** Where what a run writes on its way may stand. */
  readonly scratch: string;
  /** Folder of the seed's reward model. */
  readonly model: string;
  readonly threads: number;
}

/** Optimises a proxy, gold watched. */
export async function runOnce(place: Place, given: Given): Promise<RunRecord> {
  const { settings, tokenizer, reference, standing, scratch, threads, model } = given;
  const { arm, penalty, coefficient, seed } = place;
  const started = performance.now();
  const proxy = await openProxy(arm, { ...settings, seed, gold, moments: reference.gold, model, threads });
  const outFolder = join(scratch, nameOf(place));
  rmSync(outFolder, { recursive: true, force: true });
  try {
    const points = recorder();
    const objective = getObjective(settings.objective);
    const fitsValues = objective.needsOf({}).policy.some((score) => score === 'values');
    const apart = fitsValues && settings.critic === 'apart';
    await using policy = await openPolicy({
      model: base,
      threads,
      keepReference: true,
      ...(fitsValues && !apart && { scalarHead: 'beside' as const }),
    });
    await using critic = apart
      ? await openPolicy({ model: base, threads, scalarHead: 'alone', scalarHeadStd: 0 })
      : undefined;
    await trainOnline({
      policy,
      ...(critic && { critic }),
      tokenizer,
      objective,
      prompts: promptsOf('pairs', tokenizer),
      heldout: promptsOf('heldout', tokenizer),
      rewards: [{ reward: scaled(proxy, standing.moments, 'proxy') }],
      watched: [scaled(gold, reference.gold, 'true score')],
      outFolder,
      options: {
        steps: settings.steps,
        promptsPerStep: settings.prompts,
        completions: settings.completions,
        rolloutEpochs: settings.epochs,
        maxNewTokens: settings.maxNewTokens,
        learningRate: settings.learningRate,
        schedule: 'constant',
        evaluatePrompts: settings.evaluate,
        occupancyClip: settings.chi2Clip,
        penalty,
        ...(penalty !== 'none' && { penaltyCoef: coefficient }),
        seed,
        keepRollouts: false,
      },
      save: false,
      loggers: [points.logger],
    });
    const { steps, warned, evaluations, samples } = points;
    const seconds = (performance.now() - started) / 1000;
    return {
      ...place,
      settings,
      correlation: standing.correlation,
      steps,
      warned,
      evaluations,
      samples: samples(),
      seconds,
    };
  } finally {
    await proxy.dispose();
    rmSync(outFolder, { recursive: true, force: true });
  }
}

const scaled = (reward: Reward, by: Moments, name: string): Reward => normalised(reward, { name, by });

function recorder() {
  const steps: Point[] = [];
  const warned: number[] = [];
  const evaluations: Point[] = [];
  const shown: { readonly prompt: string; readonly completion: string }[][] = [];
  const logger: Logger = {
    name: 'study',
    log(event) {
      if (event.type === 'step') steps.push(pointOf(event.step, event.metrics, ''));
      if (event.type === 'warning' && event.message.includes('`true score`')) warned.push(steps.length);
      if (event.type === 'evaluation') evaluations.push(pointOf(event.step, event.metrics, 'eval_'));
      if (event.type === 'sample') shown.push(event.samples.slice(0, 3));
    },
  };
  const samples = () => {
    const [before = []] = shown;
    return before.map(({ prompt, completion }, at) => {
      return { prompt, before: completion, after: shown.at(-1)![at]!.completion };
    });
  };
  return { steps, warned, evaluations, samples, logger };
}

function pointOf(step: number, metrics: Readonly<Record<string, number>>, prefix: string): Point {
  const of = (name: string): number => {
    const value = metrics[name];
    if (value === undefined) throw new Error(`step ${step}: the run gave no metric \`${name}\``);
    return value;
  };
  return {
    step,
    proxy: of(`${prefix}reward`),
    gold: of(`${prefix}watched/true score/mean`),
    kl: of('divergence/kl_exact'),
    forwardKl: of('divergence/forward_kl'),
    // A float64 holds ratios up to e^709; what lies beyond is told as that.
    logChi2: Math.log1p(Math.min(of('divergence/chi2'), Number.MAX_VALUE)),
    length: of(`${prefix}completions/mean_length`),
    entropy: of(`${prefix}entropy`),
  };
}
