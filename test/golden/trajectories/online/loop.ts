import { join } from 'node:path';
import { Engine } from '@kelpie/policy';
import { batchReward } from '@kelpie/rewards';
import { memory, type OnlineOptionsInput, type OnlineRun, trainOnline } from '@kelpie/runner';
import { Comparison } from '../comparison.js';
import { compareFinal, endTokensOf, openOptions, type Place } from '../replay.js';
import { readTrajectory, type Trajectory } from '../trajectory.js';

type Json = { readonly options: Readonly<Record<string, unknown>> };
type RolloutEngine = NonNullable<OnlineRun['engine']>;

const scalings = { group: 'group-std', batch: 'batch-std', none: 'group-mean' } as const;

/**
 * A recorded run through `trainOnline` itself: an engine gives the recorded completions, rewards give what was recorded of
 * them; all else is the loop's. Loss and norm of a step are means over its updates. Runs whose steps are whole rollouts, and
 * that leave no row out, have one scale of rewards and no range that they are clipped to.
 */
export async function replayLoop(json: Json, place: Place, outFolder: string): Promise<Comparison> {
  const trajectory = readTrajectory(json);
  const comparison = new Comparison(trajectory, place.dtype);
  const { iterations, microBatches } = trajectory.convention.online!;
  if (trajectory.accumulation !== 1 || microBatches !== 1) throw new Error('a step of the loop is one whole rollout');
  await using policy = await Engine.open(await openOptions(trajectory, place));
  const log = memory();
  const { objective, objectiveOptions } = trajectory.convention;
  await trainOnline({
    policy,
    objective,
    objectiveOptions,
    ...recorded(trajectory, await endTokensOf(join(place.models, trajectory.model))),
    options: optionsOf(trajectory, json.options),
    reference: readsReference(trajectory),
    outFolder,
    loggers: [log],
    save: false,
  });
  for (const { step, loss, gradNorm } of log.of('step')) {
    const updates = trajectory.steps.slice((step - 1) * iterations, step * iterations);
    const meanOf = (key: 'loss' | 'gradNorm') => updates.reduce((sum, one) => sum + one[key], 0) / updates.length;
    comparison.number('loss', `step ${step}`, loss, meanOf('loss'));
    comparison.number('grad_norm', `step ${step}`, gradNorm, meanOf('gradNorm'));
  }
  for (const { step, rows } of log.of('rollouts')) {
    rows.forEach(({ advantage }, row) => {
      const { rows: all, batches } = trajectory.rollouts!;
      const { advantage: expected } = all[batches[step - 1]![row]!]!;
      comparison.number('advantage', `step ${step}, row ${row}`, advantage, expected, 'grad_norm');
    });
  }
  await compareFinal(policy, trajectory, place, comparison);
  return comparison;
}

function readsReference({ convention: { objective, objectiveOptions, online } }: Trajectory): boolean {
  return online!.klCoef > 0 || objective.needsOf(objectiveOptions).reference.length > 0;
}

function optionsOf(
  { convention, optimizer, schedule, rollouts }: Trajectory,
  { scale_rewards: scale }: Json['options'],
): OnlineOptionsInput {
  const { klCoef, group, iterations, temperature } = convention.online!;
  const { betas, ...adamw } = optimizer;
  return {
    ...{ ...adamw, beta1: betas![0], beta2: betas![1] },
    ...{ learningRate: schedule.learningRate, schedule: schedule.name, warmupSteps: schedule.warmupSteps },
    ...{ shuffle: false, steps: rollouts!.batches.length, promptsPerStep: rollouts!.batches[0]!.length / group },
    ...{ completions: group, rolloutEpochs: iterations, temperature },
    advantage: scale === undefined ? 'leave-one-out' : scalings[scale as keyof typeof scalings],
    ...(klCoef > 0 && { penalty: 'kl', penaltyIn: 'reward', penaltyCoef: klCoef, klEstimator: 'k1' }),
  };
}

/** The prompts of a run, one a group, with what gives their completions and rewards. */
function recorded(
  { convention, rollouts }: Trajectory,
  stop: readonly number[],
): Pick<OnlineRun, 'prompts' | 'rewards' | 'engine' | 'stop'> {
  const { rows, batches } = rollouts!;
  const { group: size, weights } = convention.online!;
  const order = batches.flat().map((row) => rows[row]!);
  const groups = Array.from({ length: order.length / size }, (_, at) => order.slice(at * size, (at + 1) * size));
  const prompts = groups.map(([first], at) => ({
    id: `group ${at}`,
    ids: first!.prompt,
    meta: { group: at },
  }));
  const engine: RolloutEngine = {
    name: 'recorded',
    madeOf: { engine: 'recorded' },
    logprobBound: Number.POSITIVE_INFINITY,
    draw: async (_, { prompts: asked, temperature }) => ({
      completions: asked.flatMap(({ meta }, prompt) =>
        groups[meta!.group as number]!.map(({ completion }) => ({
          prompt,
          ids: [...completion],
          logprobs: new Float64Array(completion.length),
          ended: stop.includes(completion.at(-1) ?? -1),
        })),
      ),
      logprobTemperature: temperature,
    }),
    [Symbol.asyncDispose]: async () => {},
  };
  const rewards = order[0]!.rewards.map((_, at) => ({
    weight: weights?.[at] ?? 1,
    reward: batchReward(
      (all) =>
        all.map(({ ids, meta }) => {
          const own = groups[meta.group as number]!;
          return own.find(({ completion }) => completion.join() === Array.from(ids).join())!.rewards[at]!;
        }),
      { name: `reward ${at}`, abstains: true },
    ),
  }));
  return { prompts, rewards, engine, stop };
}
