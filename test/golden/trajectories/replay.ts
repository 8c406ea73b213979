import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type Metrics, meanMetrics } from '@kelpie/objectives';
import { Engine, type OpenOptions, type Policy, type ScoreName } from '@kelpie/policy';
import {
  accumulate,
  type Example,
  mismatchedTrees,
  partOf,
  type Rows,
  readsMismatched,
  referenceScores,
  scheduleFactor,
} from '@kelpie/runner';
import { canonicalName } from '../reference.js';
import { Comparison, type Dtype } from './comparison.js';
import type { Convention } from './conventions.js';
import { Fields } from './fields.js';
import { OnlineTraining } from './online/train.js';
import { meanDistance, normOf, readTensors, trainedTensors } from './tensors.js';
import { type Adapter, readTrajectory, type Trajectory } from './trajectory.js';

export interface Place {
  /** The trajectory's file. */
  readonly file: string;
  /** What the paths in it are relative to. */
  readonly folder: string;
  /** Where models are looked up by name. */
  readonly models: string;
  readonly dtype: Dtype;
}

/** Trains again as the file says, and compares step by step. @throws NotYet, or Error for a run that cannot be replayed. */
export async function replay(json: unknown, place: Place): Promise<Comparison> {
  const trajectory = readTrajectory(json);
  const comparison = new Comparison(trajectory, place.dtype);
  await using policy = await Engine.open(await openOptions(trajectory, place));
  await configure(policy, trajectory);
  await (trajectory.rollouts
    ? trainOnline(policy, trajectory, place, comparison)
    : train(policy, trajectory, comparison));
  await compareFinal(policy, trajectory, place, comparison);
  return comparison;
}

/** How the policy of a trajectory is opened. */
export async function openOptions(
  { model, adapter, convention, head }: Trajectory,
  place: Place,
): Promise<OpenOptions> {
  const folder = join(place.models, model);
  if (!existsSync(join(folder, 'config.json'))) throw new Error(`there is no model \`${model}\` in ${place.models}`);
  const needsReference =
    convention.objective.needsOf(convention.objectiveOptions).reference.length > 0 ||
    (convention.online?.klCoef ?? 0) > 0;
  const base = adapter?.reference === 'base model';
  return {
    model: folder,
    dtype: place.dtype,
    threads: 1,
    ...(head !== undefined && { scalarHead: 'alone' as const, scalarHeadFile: pathOf(head, place) }),
    ...(adapter && { adapter: await adapterFolder(adapter, place) }),
    // Through the policy's graphs without its adapter.
    ...(needsReference && base && { reference: folder }),
    ...(needsReference && !base && !convention.precompute && { keepReference: true }),
  };
}

/** The folder the run started from; its config has to say what the trajectory says. */
async function adapterFolder({ initial, rank, alpha, rslora, dora }: Adapter, place: Place): Promise<string> {
  const folder = pathOf(initial, place);
  const file = join(folder, 'adapter_config.json');
  const config = new Fields(file, JSON.parse(await readFile(file, 'utf8')));
  const found = {
    rank: config.number('r'),
    alpha: config.number('lora_alpha'),
    rslora: config.boolean('use_rslora'),
    dora: config.boolean('use_dora'),
  };
  if (JSON.stringify(found) !== JSON.stringify({ rank, alpha, rslora, dora })) {
    throw new Error(`${initial} is another adapter than the trajectory's: ${JSON.stringify(found)}`);
  }
  return folder;
}

function pathOf(path: string, { folder, file }: Place): string {
  const found = [folder, dirname(file)].map((root) => join(root, path)).find((candidate) => existsSync(candidate));
  if (found === undefined) throw new Error(`there is no \`${path}\` in ${folder}`);
  return found;
}

/** AdamW with the recorded groups, which have to be what is trained. */
async function configure(policy: Policy, { optimizer, groups }: Trajectory): Promise<void> {
  const trained = [...(await policy.gradients()).keys()];
  const named = groups.map((group) => ({
    ...group,
    parameters: group.parameters.map((name) => canonicalName(name, trained)),
  }));
  const all = named.flatMap(({ parameters }) => parameters);
  requireSame('optimizer, groups', all, trained);
  const decay = named.flatMap(({ weightDecay, parameters }) => (weightDecay === 0 ? [] : parameters));
  await policy.optimizer({ ...optimizer, decay });
}

function requireSame(where: string, got: readonly string[], expected: readonly string[]): void {
  const list = (names: readonly string[], others: readonly string[]) => names.filter((name) => !others.includes(name));
  const [more, fewer] = [list(got, expected), list(expected, got)];
  if (more.length + fewer.length === 0 && got.length === expected.length) return;
  throw new Error(
    `${where}: not the tensors that are trained; too many: ${more.join(', ')}; missing: ${fewer.join(', ')}`,
  );
}

async function train(policy: Policy, trajectory: Trajectory, comparison: Comparison): Promise<void> {
  const { convention, examples, steps, schedule } = trajectory;
  const { objective, objectiveOptions, average, precompute, moving } = convention;
  const needs = objective.needsOf(objectiveOptions);
  const scores = [...needs.reference] as ScoreName[];
  /** The rows of one micro-batch with the reference's scores, taken together: equal to the policy's while that is equal. */
  const scored = async (indices: readonly number[]): Promise<Rows> => {
    const rows = indices.map((index) => examples[index]!);
    const table = (examples: readonly Example[]) =>
      referenceScores({ policy, examples, scores, batches: [[...examples.keys()]] });
    const reference = await table(rows);
    if (!readsMismatched(needs)) return { examples: rows, reference };
    const trees = mismatchedTrees(rows);
    return { examples: rows, reference, mismatched: await table(rows.map((row, i) => ({ ...row, tree: trees[i]! }))) };
  };
  const before = precompute ? new Map<string, Rows>() : undefined;
  for (const indices of before ? steps.flatMap(({ batches }) => batches) : []) {
    const key = indices.join();
    if (!before!.has(key)) before!.set(key, await scored(indices));
  }
  for (const [i, recorded] of steps.entries()) {
    const step = i + 1;
    const parts = [];
    for (const indices of recorded.batches) {
      const rows = before?.get(indices.join()) ?? (await scored(indices));
      parts.push(partOf(objective.rows, rows, [...indices.keys()]));
    }
    const judged = trajectory.head === undefined ? {} : await rewardMetrics(policy, recorded.batches, examples);
    const entropy = 'entropy' in recorded.metrics;
    const { loss, microBatches } = await accumulate({ policy, objective, objectiveOptions }, parts, {
      step,
      entropy,
      average,
    });
    const replayed = await update(policy, { schedule, moving }, i);
    compareStep(
      comparison,
      `step ${step}`,
      recorded,
      { loss, metrics: { ...logged(microBatches), ...judged }, ...replayed },
      compared,
    );
  }
}

/** What TRL logs of a reward model, which is a mean over micro-batches. */
async function rewardMetrics(
  policy: Policy,
  batches: readonly (readonly number[])[],
  examples: readonly Example[],
): Promise<Record<string, number>> {
  const logs: Record<string, number>[] = [];
  for (const indices of batches) {
    const trees = indices.map((index) => examples[index]!.tree);
    const { values } = await policy.score({ trees, scores: ['values'] });
    const rewards = [...values!];
    const margins = indices.map((_, pair) => rewards[2 * pair]! - rewards[2 * pair + 1]!);
    logs.push({
      min_reward: Math.min(...rewards),
      max_reward: Math.max(...rewards),
      mean_reward: mean(rewards),
      margin: mean(margins),
      accuracy: mean(margins.map((margin) => Number(margin > 0))),
    });
  }
  const names = Object.keys(logs[0]!);
  return Object.fromEntries(names.map((name) => [name, mean(logs.map((log) => log[name]!))]));
}

const mean = (numbers: readonly number[]) => numbers.reduce((a, b) => a + b, 0) / numbers.length;

/** On rollouts as recorded, with advantages, old and reference log-probabilities of our own. */
async function trainOnline(
  policy: Policy,
  { convention, model, rollouts, steps, schedule, accumulation }: Trajectory,
  place: Place,
  comparison: Comparison,
): Promise<void> {
  const names = steps.flatMap(({ metrics }) => Object.keys(metrics));
  const rewardNames = [...new Set(names.flatMap((name) => /^rewards\/(.*)\/mean$/.exec(name)?.[1] ?? []))];
  const training = new OnlineTraining(
    policy,
    {
      convention: convention.online!,
      rollouts: rollouts!.rows,
      batches: rollouts!.batches,
      accumulation,
      endTokens: await endTokensOf(join(place.models, model)),
      rewardNames,
    },
    comparison,
  );
  for (const [i, recorded] of steps.entries()) {
    const where = `step ${i + 1}`;
    const { loss, metrics } = await training.step(where, recorded.batches);
    const replayed = await update(policy, { schedule, moving: convention.moving }, i);
    compareStep(comparison, where, recorded, { loss, metrics, ...replayed }, /./);
  }
}

/** The model's own; of a tokenizer without another, they pad too. */
export async function endTokensOf(folder: string): Promise<readonly number[]> {
  const config = JSON.parse(await readFile(join(folder, 'config.json'), 'utf8')) as {
    readonly eos_token_id?: number | readonly number[];
  };
  return [config.eos_token_id ?? []].flat();
}

async function update(
  policy: Policy,
  { schedule, moving }: Pick<Trajectory, 'schedule'> & { readonly moving: Convention['moving'] },
  i: number,
): Promise<{ readonly gradNorm: number; readonly learningRate: number }> {
  const learningRate = schedule.learningRate * scheduleFactor(schedule.name, i, schedule);
  const { gradNorm } = await policy.step(learningRate);
  if (moving && (i + 1) % moving.every === 0) await policy.updateReference(moving.mixture);
  return { gradNorm, learningRate };
}

/** As TRL logs an accumulated step: the mean of the micro-batches' values. */
function logged(microBatches: readonly Metrics[]): Record<string, number> {
  const all = microBatches.map(meanMetrics);
  const keys = new Set(all.flatMap((metrics) => Object.keys(metrics)));
  return Object.fromEntries(
    [...keys].map((key) => {
      const values = all.flatMap((metrics) => metrics[key] ?? []);
      return [key, values.reduce((a, b) => a + b, 0) / values.length];
    }),
  );
}

const compared =
  /^(rewards\/.*|logps\/.*|entropy|kl|nll_loss|log_odds_(ratio|chosen)|(min|mean|max)_reward|margin|accuracy)$/;

type Replayed = Omit<Trajectory['steps'][number], 'batches'>;

function compareStep(
  comparison: Comparison,
  where: string,
  recorded: Replayed,
  replayed: Replayed,
  compared: RegExp,
): void {
  comparison.number('loss', where, replayed.loss, recorded.loss);
  comparison.number('grad_norm', where, replayed.gradNorm, recorded.gradNorm);
  comparison.number('learning_rate', where, replayed.learningRate, recorded.learningRate);
  for (const [key, value] of Object.entries(recorded.metrics)) {
    if (!compared.test(key)) continue;
    // A term that takes no part is logged as 0 there, and not at all here.
    const absent = (key === 'nll_loss' || key === 'kl') && value === 0 ? 0 : undefined;
    comparison.number(key, where, replayed.metrics[key] ?? absent, value);
  }
}

/**
 * The sampled weights and norm of every tensor. Of an adapter the recorded folder too, tensor by tensor: the float32 figures
 * are those of the sampled weights, and AdamW makes a whole step of a gradient that is all rounding, so that a single weight
 * says nothing.
 */
export async function compareFinal(
  policy: Policy,
  { final, adapter }: Trajectory,
  place: Place,
  comparison: Comparison,
): Promise<void> {
  const trained = await trainedTensors(policy);
  const known = [...trained.keys()];
  const names = final.map(({ name }) => canonicalName(name, known));
  requireSame('final', names, known);
  for (const [i, { shape, norm, at, values }] of final.entries()) {
    const name = names[i]!;
    const tensor = trained.get(name)!;
    if (JSON.stringify(tensor.shape) !== JSON.stringify(shape)) {
      throw new Error(
        `final, ${name}: expected the shape ${JSON.stringify(shape)}, got ${JSON.stringify(tensor.shape)}`,
      );
    }
    at.forEach((index, n) => {
      comparison.number('final.values', `${name}[${index}]`, tensor.data[index], values[n]!);
    });
    comparison.relative('final.norm', name, normOf(tensor), norm);
  }
  if (adapter === undefined) return;
  const recorded = await readTensors(join(pathOf(adapter.final, place), 'adapter_model.safetensors'));
  const bare = [...recorded].map(([name, tensor]) => [name.replace(/^base_model\.model\./, ''), tensor] as const);
  requireSame(
    adapter.final,
    bare.map(([name]) => name),
    known,
  );
  for (const [name, tensor] of bare) {
    const own = trained.get(name)!;
    // The folder holds float32: DoRA's magnitudes lose digits in it that weights near 0 keep.
    const rounded = { ...own, data: Float32Array.from(own.data) };
    comparison.number('final.values', `${name}, mean distance`, meanDistance(tensor, rounded), 0);
  }
}
