import { join } from 'node:path';
import { plan } from '@kelpie/data';
import { type LoopState, saveCheckpoint } from '../checkpoint.js';
import type { Events } from '../events.js';
import { messageOf } from '../files.js';
import { jsonl, rollouts as rolloutLog, timing } from '../loggers/index.js';
import { checkpointOf } from '../offline-plan.js';
import { finishRun, inRunFolder, optimizerOptions } from '../run-shell.js';
import { scheduleFactor } from '../schedule.js';
import { selfCheckError } from '../self-check.js';
import { scoresNeeded } from '../step.js';
import type { Snapshot } from '../verdict.js';
import { onlineCheck } from './check.js';
import { collect } from './collect.js';
import { controllerOf } from './controllers.js';
import { criticTask } from './critic.js';
import { samplerAlarm } from './engines/index.js';
import { evaluateRollouts, onlineVerdict } from './evaluate.js';
import { learn } from './lessons.js';
import { aimOf } from './penalties.js';
import { logsOf, type PlannedOnline, planOnline, stopsOf } from './plan.js';
import { prepareStep } from './prepare.js';
import { type Duty, dutiesBehind, noProgress, type Progress, spent } from './progress.js';
import { letGo, type OnlinePrompt } from './rollouts.js';
import type { OnlineResult, OnlineRun } from './run.js';
import { stopwatch } from './stopwatch.js';
import { withBaseline } from './targets.js';
import { newlyGamed, withStep } from './watch.js';

export type { OnlineResult, OnlineRun } from './run.js';

/** Trains a policy on its own completions: draw, judge, score, learn. See README for the files it writes. */
export async function trainOnline(run: OnlineRun): Promise<OnlineResult> {
  const planned = planOnline(run);
  const files = logsOf(run.outFolder);
  const kept = planned.options.keepRollouts ? [rolloutLog(files.rollouts)] : [];
  const { loggers = [jsonl(files.metrics), timing(files.timing), ...kept], outFolder, resume } = run;
  return inRunFolder({ outFolder, resume, loggers }, (events) => loop(run, planned, events));
}

async function loop(run: OnlineRun, planned: PlannedOnline, events: Events): Promise<OnlineResult> {
  const { policy, critic, engine, outFolder, signal, prompts, heldout = [], rewards, watched = [], tokenizer } = run;
  const { options, config, scores } = planned;
  const { steps, seed, temperature, saveEvery, penaltyCoef } = options;
  const warnings: string[] = [];
  const checkpoint = run.resume
    ? await checkpointOf(outFolder, { config, steps }, (message) => warnings.push(message))
    : undefined;
  const order = plan({
    examples: prompts.map(({ ids }) => ({ tree: { trunk: ids, branches: [] } })),
    rowsPerStep: options.promptsPerStep,
    shuffle: options.shuffle,
    epochs: Number.POSITIVE_INFINITY,
    seed,
  });
  const { stepsPerEpoch } = order;
  const sizes = { examples: prompts.length, heldout: heldout.length };
  const begun = checkpoint?.state.step ?? 0;
  events.emit({
    type: 'start',
    step: begun,
    resumed: checkpoint !== undefined,
    steps,
    stepsPerEpoch,
    ...sizes,
    config,
  });
  for (const message of [...warnings, ...(engine?.notice ? [engine.notice] : [])]) events.warn(message);

  await policy.optimizer(optimizerOptions(options));
  await critic?.optimizer(optimizerOptions(options));
  if (checkpoint !== undefined) await policy.restoreState(checkpoint.policyFile);
  if (checkpoint?.criticFile !== undefined) await critic?.restoreState(checkpoint.criticFile);
  let at: Progress = { ...noProgress(penaltyCoef), ...(checkpoint?.state.own as Partial<Progress> | undefined) };
  const clock = stopwatch();
  const how = { ...options, scores, rewards, watched, stop: stopsOf(run), ...(tokenizer && { tokenizer }) };
  const measureAt = async (step: number): Promise<Snapshot> => {
    const measured = await evaluateRollouts(policy, heldout, { ...how, state: at.rewardState });
    if (heldout.length === 0) return measured;
    const { metrics, samples } = measured;
    events.emit({ type: 'evaluation', step, epoch: step / stepsPerEpoch, metrics, seconds: measured.seconds });
    events.emit({ type: 'sample', step, samples });
    return { metrics, samples };
  };
  const before = checkpoint?.state.before ?? (await measureAt(0));
  let saved = at.step;
  const save = async () => {
    keepRollouts();
    await events.flush();
    const state: LoopState = { step: at.step, config, threads: policy.info.threads, before, own: { ...at } };
    const folder = await saveCheckpoint(join(outFolder, 'checkpoints'), {
      policy,
      ...(critic && { critic }),
      state,
      keep: options.keepCheckpoints,
    });
    events.emit({ type: 'checkpoint', step: at.step, folder });
    saved = at.step;
  };
  /** Where something fails while no step is half learnt: the last one is kept before the error goes its way. */
  const keepAnd =
    (what: string) =>
    async (error: unknown): Promise<never> => {
      try {
        if (saved < at.step) await save();
        if (at.step > 0) events.warn(`${what} failed; step ${at.step} is kept, and a resumed run goes on from it`);
      } catch (second) {
        events.warn(`${what} failed, and step ${at.step} could not be kept either: ${messageOf(second)}`);
      }
      throw error;
    };
  const duties: Readonly<Record<Duty, () => Promise<void>>> = {
    evaluation: async () => {
      at = { ...at, now: await measureAt(at.step) };
    },
    reference: () => policy.updateReference(options.referenceMixture),
  };
  const settle = async () => {
    for (const duty of at.due) {
      await duties[duty]().catch(keepAnd(`the ${dutyNames[duty]} behind step ${at.step}`));
      at = { ...at, due: at.due.slice(1) };
    }
  };
  const alarm = samplerAlarm(engine);
  /** Writes what is kept of the last step's completions: the next step's are being drawn meanwhile. */
  let keepRollouts = () => {};

  await settle();
  while (at.step < steps && spent(at, options) === undefined && !signal?.aborted) {
    const step = at.step + 1;
    const watch = stopwatch();
    const drawing = collect(
      policy,
      order.at(at.step).rows.map((row) => prompts[row]!),
      {
        ...how,
        ...(critic && { critic }),
        ...(engine && { engine }),
        ...drawingOf(planned, prompts),
        forward:
          planned.take === 'all' && options.miniBatches === 1 ? readInTraining(run, planned, at.coef) : undefined,
        // What the first step is checked by are passes of the scorer.
        trusting: planned.oneRun && (step > 1 || run.selfCheckTolerance === false),
        version: at.step,
        state: at.rewardState,
        seed: seedOf(seed, step),
      },
    );
    try {
      keepRollouts();
    } catch (error) {
      await drawing.then(({ forwards }) => letGo(forwards)).catch(() => {});
      throw error;
    }
    const collected = await drawing.catch(keepAnd(`step ${step}`));
    const teach = async () => {
      const prepared = await Promise.resolve()
        .then(() => prepareStep(collected, { ...planned, step, coef: at.coef }))
        .catch(keepAnd(`step ${step}`));
      for (const message of [...(collected.rollouts.sampler.warnings ?? []), ...prepared.warnings])
        events.warn(message);
      const collecting = watch();

      const { objectiveOptions } = planned;
      const own = withBaseline({ objective: run.objective, objectiveOptions }, prepared.lessons);
      const aim = aimOf(own, at.coef, options);
      const task = { ...aim, policy, temperature, ...(at.objectiveState && { state: at.objectiveState }) };
      const { selfCheckTolerance: tolerance = 1e-5 } = run;
      if (step === 1 && tolerance !== false) {
        const { hash, referenceHash } = policy.info;
        const found = { ...how, tolerance, fromStart: hash === referenceHash };
        const checked = await onlineCheck(task, collected, prepared.lessons, found);
        events.emit({ type: 'self-check', ...checked });
        if (!checked.passed) throw selfCheckError(checked);
      }
      watch();
      const { schedule, warmupSteps } = options;
      const pace = scheduleFactor(schedule, step - 1, { warmupSteps, steps });
      const learningRate = options.learningRate * pace;
      const learnt = await learn(task, prepared.lessons, {
        ...options,
        step,
        seed: seedOf(seed, step),
        learningRate,
        forwards: collected.forwards,
        critic:
          critic &&
          criticTask(critic, run.objectiveOptions, pace * (options.criticLearningRate ?? options.learningRate)),
      });
      const seconds = watch();
      const told = prepared.tell(collected.complete(learnt.scored));
      for (const message of alarm(told.metrics)) events.warn(message);
      return { told, others: collecting + watch(), learningRate, learnt, seconds };
    };
    const {
      told,
      others,
      learningRate,
      learnt,
      seconds: learning,
    } = await teach().finally(() => letGo(collected.forwards));
    const training = { seconds: learning, tokens: collected.times.scoring.tokens * options.rolloutEpochs };

    const controller = controllerOf(options.controller, {
      klCoef: at.coef,
      initial: penaltyCoef,
      target: options.penaltyTarget,
      horizon: options.penaltyHorizon,
    });
    const { history: past } = at;
    at = {
      step,
      coef: controller.update(told.kl ?? 0, collected.rollouts.rows).klCoef,
      ...(told.kl !== undefined && { kl: told.kl }),
      rewardState: collected.judged.state,
      ...(learnt.state && { objectiveState: learnt.state }),
      history: withStep(past, told.metrics.reward, collected.judged.watched),
      seconds: at.seconds + clock(),
      due: [],
      ...(at.now && { now: at.now }),
    };
    at = { ...at, due: dutiesBehind(at, options) };
    const seconds = others + training.seconds;
    const { tokens } = training;
    events.emit({
      type: 'step',
      step,
      epoch: step / stepsPerEpoch,
      loss: learnt.loss,
      gradNorm: learnt.gradNorm,
      learningRate,
      metrics: { ...learnt.metrics, ...told.metrics, updates: learnt.updates },
      timing: {
        seconds,
        tokens,
        tokensPerSecond: tokens / seconds,
        peakRssBytes: process.resourceUsage().maxRSS * 1024,
        phases: { ...collected.times, training },
      },
    });
    keepRollouts = () => {
      events.emit({ type: 'rollouts', step, rows: told.records(tokenizer) });
      keepRollouts = () => {};
    };
    for (const name of newlyGamed(past, at.history)) {
      events.warn(
        `the reward rises while the watched \`${name}\` falls: the policy may be gaming what it is trained on`,
      );
    }
    if (at.due.length > 0) keepRollouts();
    await settle();
    if (saveEvery > 0 && step % saveEvery === 0 && step < steps) await save();
  }
  keepRollouts();
  const { step, now = before } = at;
  const { metrics } = now;
  const early = spent(at, options);
  if (step < steps && saved < step) await save();
  if (step < steps && early === undefined) {
    events.emit({ type: 'end', step, stopped: true });
    return { step, steps, stopped: true, metrics };
  }
  const verdict = onlineVerdict(before, now, { steps: step });
  const ending = early === undefined ? {} : { early };
  const finish = async () => {
    if (run.save !== false) await critic?.save(join(outFolder, 'critic'), run.save);
    await finishRun(policy, outFolder, { save: run.save, config, steps: step, ...ending, metrics, verdict });
  };
  await finish().catch(keepAnd('saving the model'));
  events.emit({ type: 'end', step, stopped: false, ...ending, verdict });
  return { step, steps, stopped: false, ...ending, metrics, verdict };
}

const dutyNames = { evaluation: 'evaluation', reference: "reference's move" } satisfies Record<Duty, string>;

function readInTraining({ objective }: OnlineRun, { objectiveOptions, options }: PlannedOnline, coef: number) {
  return scoresNeeded(aimOf({ objective, objectiveOptions }, coef, options));
}

/** Half of a group is the reference's where the policy is held against it; dull groups are given up for others. */
function drawingOf({ take, options }: PlannedOnline, pool: readonly OnlinePrompt[]) {
  const { completions, dynamicSampling } = options;
  const opponents = take === 'against-reference';
  return { opponents, completions: opponents ? completions / 2 : completions, pool, dynamicSampling };
}

/** A seed a step: what a step draws depends on nothing before it. */
function seedOf(seed: number, step: number): number {
  return (Math.imul(seed + 1, 0x9e3779b1) + step) | 0;
}
