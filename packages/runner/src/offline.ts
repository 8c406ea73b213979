import { join } from 'node:path';
import { type Plan, plan, type TextTokenizer } from '@kelpie/data';
import { meanMetrics, type Objective, type ObjectiveState } from '@kelpie/objectives';
import type { Policy, SaveOptions, ScoreName } from '@kelpie/policy';
import { type Checkpoint, type LoopState, saveCheckpoint } from './checkpoint.js';
import { evaluate, isWithoutReference } from './evaluate.js';
import type { Events, Logger } from './events.js';
import { judgesSequences } from './judged.js';
import { jsonl, timing } from './loggers/index.js';
import { hasMoved, livePart, movesBehind, requireMovable } from './moving-reference.js';
import { batching, checkpointOf, type PlannedRun, planOffline } from './offline-plan.js';
import { readsMismatched } from './offline-rows.js';
import { referenceScores } from './reference.js';
import { type Example, idsOf, mismatchedTrees, type Part, partOf, type Rows } from './rows.js';
import { finishRun, inRunFolder, optimizerOptions, updatePolicy } from './run-shell.js';
import { scheduleFactor } from './schedule.js';
import { selfCheck, selfCheckError } from './self-check.js';
import { accumulate, type Task } from './step.js';
import type { TrainOptionsInput } from './train-options.js';
import { promptsOf, type Sample, type Snapshot, samplesOf, type Verdict, verdictOf } from './verdict.js';

export interface OfflineRun {
  /** Open it with `keepReference` for the divergence from the start, or for an objective that reads one. */
  readonly policy: Policy;
  readonly objective: Objective;
  readonly objectiveOptions?: Readonly<Record<string, unknown>>;
  /** Of the file that an objective was read from: a checkpoint goes on with that very file only. */
  readonly objectiveHash?: string;
  readonly examples: readonly Example[];
  /** Evaluated, never trained on. Default: none. */
  readonly heldout?: readonly Example[];
  readonly options?: TrainOptionsInput;
  /** Where the run's files go: `metrics.jsonl`, `timing.jsonl`, `checkpoints/`, `reference/`, `model/`, `run.json`. */
  readonly outFolder: string;
  /** Goes on from the newest checkpoint of `outFolder`, if there is one. Default false: a folder in use is refused. */
  readonly resume?: boolean;
  /** Finishes the step, writes a checkpoint and stops. */
  readonly signal?: AbortSignal;
  /** Default: `metrics.jsonl` and `timing.jsonl` in `outFolder`. */
  readonly loggers?: readonly Logger[];
  /** Makes samples readable and ends them. Its hash belongs to the run's config. */
  readonly tokenizer?: Pick<TextTokenizer, 'decode' | 'hash' | 'eosTokens'>;
  /** A cache of reference scores that several runs share. Default: `outFolder/reference`. */
  readonly referenceFolder?: string;
  /** Of the self-check; 1e-4 by default, what float32 can hold. `false` leaves it out. */
  readonly selfCheckTolerance?: number | false;
  /** How the model is saved at the end. `false`: not at all. */
  readonly save?: SaveOptions | false;
}

export interface OfflineResult {
  /** Steps done, those before a resume included. */
  readonly step: number;
  readonly steps: number;
  /** Stopped by the signal; a checkpoint was written if a step was done. */
  readonly stopped: boolean;
  /** Of the last evaluation; empty without held-out examples. */
  readonly metrics: Readonly<Record<string, number>>;
  readonly verdict?: Verdict;
}

/** All a run is made of, once checked. */
interface Setup {
  readonly run: OfflineRun;
  readonly options: PlannedRun['options'];
  readonly task: Task;
  readonly config: Readonly<Record<string, unknown>>;
  readonly plan: Plan;
  readonly steps: number;
  readonly events: Events;
  readonly checkpoint: Checkpoint | undefined;
}

/** Trains a policy on rows that are there from the start: preferences, texts. See README for the files it writes. */
export async function trainOffline(run: OfflineRun): Promise<OfflineResult> {
  const { outFolder } = run;
  const { loggers = [jsonl(join(outFolder, 'metrics.jsonl')), timing(join(outFolder, 'timing.jsonl'))] } = run;
  const planned = planOffline(run);
  if (planned.options.syncReferenceEvery > 0) {
    requireMovable(run.objective, run.objectiveOptions ?? {}, run.policy.info);
  }
  return inRunFolder({ outFolder, resume: run.resume, loggers }, async (events) =>
    loop(await prepare(run, planned, events)),
  );
}

async function prepare(run: OfflineRun, planned: PlannedRun, events: Events): Promise<Setup> {
  const { policy, objective, objectiveOptions = {}, outFolder, resume = false } = run;
  const { options, examples, heldout, config, steps } = planned;
  const warnings = [...planned.warnings];
  const checkpoint = resume ? await checkpointOf(outFolder, planned, (message) => warnings.push(message)) : undefined;
  const { stepsPerEpoch } = planned.plan;
  const step = checkpoint?.state.step ?? 0;
  const sizes = { examples: examples.length, heldout: heldout.length };
  events.emit({ type: 'start', step, resumed: checkpoint !== undefined, steps, stepsPerEpoch, ...sizes, config });
  for (const message of warnings) events.warn(message);
  if (checkpoint !== undefined && checkpoint.state.threads !== policy.info.threads) {
    events.warn(
      `the checkpoint was made with ${checkpoint.state.threads} threads, not ${policy.info.threads}: last digits may differ`,
    );
  }
  const task = { policy, objective, objectiveOptions, temperature: options.temperature };
  return { run: { ...run, examples, heldout }, options, task, config, plan: planned.plan, steps, events, checkpoint };
}

async function loop(setup: Setup): Promise<OfflineResult> {
  const { run, options, task, plan: planned, steps, events, checkpoint } = setup;
  const { policy } = task;
  const { signal, outFolder } = run;
  const { evaluateEvery, saveEvery, schedule, warmupSteps } = options;
  const stoppedEarly = (): OfflineResult => {
    events.emit({ type: 'end', step: checkpoint?.state.step ?? 0, stopped: true });
    return { step: checkpoint?.state.step ?? 0, steps, stopped: true, metrics: {} };
  };

  const data = await references(setup);
  if (data === undefined) return stoppedEarly();
  const measureAt = measurer(setup, data.heldout);
  await policy.optimizer(optimizerOptions(options));
  if (checkpoint === undefined) await check(setup, data.train);
  else await policy.restoreState(checkpoint.policyFile);
  const before: Snapshot = checkpoint?.state.before ?? {
    metrics: await measureAt(0),
    samples: await sampleAt(setup, 0),
  };
  if (signal?.aborted) return stoppedEarly();

  let metrics = before.metrics;
  let state = checkpoint?.state.objectiveState;
  let step = checkpoint?.state.step ?? 0;
  let saved = step;
  const save = async () => {
    await events.flush();
    const objectiveState = state && { objectiveState: state };
    const loop: LoopState = { step, config: setup.config, threads: policy.info.threads, before, ...objectiveState };
    const folder = await saveCheckpoint(join(outFolder, 'checkpoints'), {
      policy,
      state: loop,
      keep: options.keepCheckpoints,
    });
    events.emit({ type: 'checkpoint', step, folder });
    saved = step;
  };
  for (; step < steps && !signal?.aborted; ) {
    const started = performance.now();
    const { microBatches, tokens } = planned.at(step);
    step++;
    const parts = await partsAt(setup, data.train, microBatches, step - 1);
    const result = await accumulate(withState(task, state), parts, { step, entropy: options.entropy && !judges(task) });
    const { loss, metrics: sums } = result;
    state = result.state;
    const learningRate = options.learningRate * scheduleFactor(schedule, step - 1, { warmupSteps, steps });
    const rowsOfStep = () => idsOf(parts.flatMap(({ examples }) => examples));
    const { gradNorm } = await updatePolicy(policy, learningRate, step, rowsOfStep);
    const epoch = step / planned.stepsPerEpoch;
    const seconds = (performance.now() - started) / 1000;
    const peakRssBytes = process.resourceUsage().maxRSS * 1024;
    const timing = { seconds, tokens, tokensPerSecond: tokens / seconds, peakRssBytes };
    events.emit({ type: 'step', step, epoch, loss, gradNorm, learningRate, metrics: meanMetrics(sums), timing });
    if (step === steps || (evaluateEvery > 0 && step % evaluateEvery === 0)) metrics = await measureAt(step, state);
    if (movesBehind(step, options)) await policy.updateReference(options.referenceMixture);
    if (saveEvery > 0 && step % saveEvery === 0 && step < steps) await save();
  }
  if (step < steps) {
    if (saved < step) await save();
    events.emit({ type: 'end', step, stopped: true });
    return { step, steps, stopped: true, metrics };
  }

  const verdict = verdictOf(
    before,
    { metrics, samples: await sampleAt(setup, step) },
    { steps, sampleTokens: shortest(setup) },
  );
  await finish(setup, metrics, verdict);
  events.emit({ type: 'end', step, stopped: false, verdict });
  return { step, steps, stopped: false, metrics, verdict };
}

/** Before any saved state is restored: the reference is the policy as it was opened. */
async function references(setup: Setup): Promise<{ train: Rows; heldout: Rows } | undefined> {
  const { run, task, events } = setup;
  const { policy, objective, objectiveOptions, temperature } = task;
  const { examples, heldout = [], outFolder, referenceFolder = join(outFolder, 'reference'), signal, tokenizer } = run;
  const scores = [...objective.needsOf(objectiveOptions).reference] as ScoreName[];
  type Of = 'train' | 'heldout';
  const table = (of: Of, examples: readonly Example[], mismatched: boolean, batches?: readonly (readonly number[])[]) =>
    referenceScores({
      policy,
      examples,
      scores,
      name: mismatched ? `mismatched-${of}` : of,
      ...(batches && { batches }),
      folder: referenceFolder,
      ...(temperature === undefined ? {} : { temperature }),
      ...(tokenizer === undefined ? {} : { tokenizerHash: tokenizer.hash }),
      ...(signal === undefined ? {} : { signal }),
      onProgress: (progress) => events.emit({ type: 'reference-progress', of, mismatched, ...progress }),
      onWarning: (message) => events.warn(message),
    });
  const mismatched = readsMismatched(objective.needsOf(objectiveOptions));
  const rows = async (of: Of, examples: readonly Example[]): Promise<Rows> => {
    // Held-out rows are scored in the batches they are evaluated in: before the first step every margin is exactly 0.
    const batches = of === 'heldout' && examples.length > 0 ? heldoutBatches(setup, examples) : undefined;
    const reference = await table(of, examples, false, batches);
    if (!mismatched) return { examples, reference };
    const trees = mismatchedTrees(examples);
    const others = examples.map((example, i) => ({ ...example, tree: trees[i]! }));
    return { examples, reference, mismatched: await table(of, others, true, batches) };
  };
  try {
    return { train: await rows('train', examples), heldout: await rows('heldout', heldout) };
  } catch (error) {
    if (signal?.aborted) return undefined;
    throw error;
  }
}

/** Rows of these batches with the reference's scores: those of its start, or, once it has moved, of where it is now. */
async function partsAt(
  { task, options }: Setup,
  rows: Rows,
  batches: readonly (readonly number[])[],
  stepsDone: number,
): Promise<Part[]> {
  if (!hasMoved(stepsDone, options)) return batches.map((indices) => partOf(task.objective.rows, rows, indices));
  const parts: Part[] = [];
  for (const indices of batches) parts.push(await livePart(task, rows, indices));
  return parts;
}

function judges({ objective, objectiveOptions }: Task): boolean {
  return judgesSequences(objective.needsOf(objectiveOptions));
}

function heldoutBatches({ options }: Setup, examples: readonly Example[]): readonly (readonly number[])[] {
  const whole = plan({ ...batching(options), examples, rowsPerStep: examples.length, shuffle: false });
  return whole.at(0).microBatches;
}

function withState(task: Task, state: ObjectiveState | undefined): Task {
  return state === undefined ? task : { ...task, state };
}

/**
 * Evaluates and tells; without a reference in memory it does without divergences, and says so once. A reference that moves
 * behind a step has not moved yet: rewards and divergences are from where the step was trained against.
 */
function measurer(setup: Setup, rows: Rows) {
  const {
    task,
    options,
    plan: { stepsPerEpoch },
    events,
  } = setup;
  const batches = rows.examples.length === 0 ? [] : heldoutBatches(setup, rows.examples);
  let divergence = !judges(task);
  const entropy = options.entropy && divergence;
  return async (step: number, state?: ObjectiveState): Promise<Record<string, number>> => {
    if (batches.length === 0) return {};
    const started = performance.now();
    const parts = await partsAt(setup, rows, batches, step - 1);
    const measured = () => evaluate({ ...withState(task, state), parts, step, entropy, divergence });
    const metrics = await measured().catch((error) => {
      if (!divergence || !isWithoutReference(error)) throw error;
      divergence = false;
      events.warn('the policy keeps no reference: its divergence is not measured after the first step');
      return measured();
    });
    events.emit({
      type: 'evaluation',
      step,
      epoch: step / stepsPerEpoch,
      metrics,
      seconds: (performance.now() - started) / 1000,
    });
    return metrics;
  };
}

async function check({ run, task, events }: Setup, rows: Rows): Promise<void> {
  const { selfCheckTolerance: tolerance = 1e-4 } = run;
  if (tolerance === false) return;
  const result = await selfCheck({ ...task, rows, tolerance });
  events.emit({ type: 'self-check', ...result });
  if (!result.passed) throw selfCheckError(result);
}

async function sampleAt({ run, options, events, task }: Setup, step: number): Promise<Sample[]> {
  if (judges(task)) return [];
  const { policy } = task;
  const { samplePrompts: count, sampleTokens, seed, temperature } = options;
  const maxNewTokens = Math.min(sampleTokens, Math.floor(policy.info.contextLength / 2));
  const { heldout = [], examples, tokenizer } = run;
  const prompts = promptsOf(heldout.length > 0 ? heldout : examples, {
    count,
    room: policy.info.contextLength - maxNewTokens,
  });
  if (prompts.length === 0) return [];
  const stop = tokenizer?.eosTokens ?? [];
  const decode = tokenizer && ((ids: readonly number[]) => tokenizer.decode(ids));
  const samples = await samplesOf({
    policy,
    prompts,
    maxNewTokens,
    temperature,
    stop,
    seed,
    ...(decode && { decode }),
  });
  events.emit({ type: 'sample', step, samples });
  return samples;
}

/** Tokens that completions could have at either end: a resumed run may ask for others. */
function shortest({ options: { sampleTokens }, checkpoint }: Setup): number {
  const before = checkpoint?.state.config.options as { sampleTokens?: number } | undefined;
  return Math.min(sampleTokens, before?.sampleTokens ?? sampleTokens);
}

async function finish(
  { run, config, steps, task: { policy } }: Setup,
  metrics: Readonly<Record<string, number>>,
  verdict: Verdict,
) {
  await finishRun(policy, run.outFolder, { save: run.save, config, steps, metrics, verdict });
}
