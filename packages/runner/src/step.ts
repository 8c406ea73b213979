import {
  addTotals,
  type Evaluation,
  type Grid,
  type Metrics,
  mergeMetrics,
  type Objective,
  ObjectiveError,
  type ObjectiveInput,
  type ObjectiveState,
  rowSums,
  type Scores,
  type Totals,
  total,
} from '@kelpie/objectives';
import { KelpieError, type Policy, type ScoreName as PolicyScoreName, type TokenScores } from '@kelpie/policy';
import { messageOf } from './files.js';
import { batchOf, join, splitCotangents } from './join.js';
import { exampleOfRow, idsOf, inputOf, type Part, requireFinite, scoresOf } from './rows.js';

/** What is trained and how it is judged. */
export interface Task {
  readonly policy: Policy;
  readonly objective: Objective;
  readonly objectiveOptions?: Readonly<Record<string, unknown>>;
  /** Divides the logits. Default 1. */
  readonly temperature?: number;
  /** What the last step left, of an objective that has a state. Default: its initial one. */
  readonly state?: ObjectiveState;
}

export interface StepResult {
  readonly loss: number;
  readonly metrics: Metrics;
  /** What the next step is to be given, of an objective that has a state. */
  readonly state?: ObjectiveState;
}

export interface StepOptions {
  readonly step: number;
  /** Also takes the entropy, for the metrics. */
  readonly entropy: boolean;
  /**
   * What the objective's means are taken over. `step` (default): all rows, however they are split. `micro-batches`: each
   * micro-batch by itself, and then the mean of those, as TRL's preference trainers accumulate: with micro-batches of
   * unequal lengths, a mean over tokens is another loss.
   */
  readonly average?: 'step' | 'micro-batches';
}

export interface AccumulatedStep extends StepResult {
  /** Metrics of each micro-batch, in order; of the whole step alone where the objective had to see it at once. */
  readonly microBatches: readonly Metrics[];
  /** What came back from the forward passes that parts brought along, in the parts' order. */
  readonly scored: readonly (TokenScores | undefined)[];
}

/**
 * The gradients of one step, added up in the policy, and its loss and metrics. Separable objectives: forward, evaluate
 * with the step's totals, backward, part by part. Others: score all parts, evaluate once on the joined rows, then forward
 * and backward of each part with its slice of the cotangents. Averaged by micro-batch, every objective goes part by part.
 * Batches that are read as constants are scored beforehand, those of the whole step or those of the micro-batch.
 */
export async function accumulate(
  task: Task,
  parts: readonly Part[],
  { step, entropy, average = 'step' }: StepOptions,
): Promise<AccumulatedStep> {
  const { policy, objective, temperature = 1 } = task;
  const totals = addTotals(parts.map((part) => part.totals));
  const needs = scoresNeeded(task);
  const logged = entropy && !needs.includes('entropy') ? [...needs, 'entropy' as const] : needs;
  const apart = average === 'micro-batches';
  const scored: (TokenScores | undefined)[] = [];
  if (objective.separable || apart || parts.length === 1) {
    const results: StepResult[] = [];
    const ofStep = apart ? undefined : await batchesOf(task, parts, step);
    let { state } = task;
    let running = Promise.resolve();
    for (const part of parts) {
      // A part that was scored before is judged while the pass back of the one before it runs.
      if (part.forward === undefined || ofStep === undefined) await running;
      const batches = ofStep ?? (await batchesOf(task, [part], step));
      const evaluated = (scores: Scores) => {
        const own = { totals: apart ? part.totals : totals, batches, ...(state && { state }) };
        const evaluation = evaluatePart(task, part, scores, own, step);
        state = evaluation.state ?? state;
        return apart ? scaled(evaluation, 1 / parts.length) : evaluation;
      };
      if (objective.linear && part.forward === undefined) {
        const { cotangents } = evaluated(zeros(part, logged));
        const given = await policy.pull({ trees: part.trees, scores: logged, temperature, cotangents });
        const { loss, metrics } = evaluated(scoresOf(given));
        results.push({ loss, metrics });
        scored.push(undefined);
        continue;
      }
      const forward = part.forward ?? (await policy.vjp({ trees: part.trees, scores: logged, temperature }));
      try {
        const { loss, metrics, cotangents } = evaluated(only(scoresOf(forward.scores), logged));
        results.push({ loss, metrics });
        await running;
        running = forward.pullback(cotangents).then((gave) => {
          scored.push(part.forward && gave);
        });
        running.catch(() => {});
      } catch (error) {
        await running.catch(() => {});
        await forward.release();
        throw error;
      }
    }
    await running;
    const microBatches = results.map(({ metrics }) => metrics);
    const loss = sum(results.map((result) => result.loss));
    return { loss, metrics: mergeMetrics(microBatches), microBatches, scored, ...(state && { state }) };
  }
  const { evaluation, joined } = await evaluateJoined(task, parts, logged, step);
  const slices = splitCotangents(evaluation.cotangents, joined, parts);
  for (const [i, { trees, forward }] of parts.entries()) {
    const cotangents = slices[i]!;
    scored.push(await forward?.pullback(cotangents));
    if (forward === undefined) await policy.pull({ trees, scores: needs, temperature, cotangents });
  }
  return { ...evaluation, microBatches: [evaluation.metrics], scored };
}

function only(scores: Scores, names: readonly PolicyScoreName[]): Scores {
  return Object.fromEntries(Object.entries(scores).filter(([name]) => names.some((wanted) => wanted === name)));
}

function zeros({ rows, tokens }: Grid, names: readonly PolicyScoreName[]): Scores {
  return Object.fromEntries(names.map((name) => [name, new Float64Array(rows * tokens)]));
}

/** Loss and cotangents times a factor. */
function scaled({ loss, metrics, cotangents }: Evaluation, factor: number): Evaluation {
  const times = (values: Float64Array) => values.map((value) => factor * value);
  return {
    loss: factor * loss,
    metrics,
    cotangents: Object.fromEntries(Object.entries(cotangents).map(([name, values]) => [name, times(values)])),
  };
}

/** Loss and metrics of rows, without a gradient; with any further scores asked for. */
export async function measure(
  task: Task,
  parts: readonly Part[],
  { step, more = [] }: { readonly step: number; readonly more?: readonly PolicyScoreName[] },
): Promise<StepResult & { readonly scores: readonly Scores[] }> {
  const { policy, objective, temperature = 1 } = task;
  const totals = addTotals(parts.map((part) => part.totals));
  const names = [...new Set([...scoresNeeded(task), ...more])];
  if (!objective.separable) {
    const { evaluation, scores } = await evaluateJoined(task, parts, names, step);
    return { ...evaluation, scores };
  }
  const results: StepResult[] = [];
  const scores: Scores[] = [];
  const batches = await batchesOf(task, parts, step);
  for (const part of parts) {
    const given = scoresOf(await policy.score({ trees: part.trees, scores: names, temperature }));
    results.push(evaluatePart(task, part, given, { ...stateOf(task), totals, batches }, step));
    scores.push(given);
  }
  return {
    loss: sum(results.map(({ loss }) => loss)),
    metrics: mergeMetrics(results.map(({ metrics }) => metrics)),
    scores,
  };
}

async function evaluateJoined(task: Task, parts: readonly Part[], names: readonly PolicyScoreName[], step: number) {
  const { policy, objective, temperature = 1 } = task;
  const scores: Scores[] = [];
  for (const part of parts) {
    const { trees, forward } = part;
    const given = scoresOf(forward?.scores ?? (await policy.score({ trees, scores: names, temperature })));
    requireFinite(part, given, { step });
    scores.push(only(given, names));
  }
  const joined = join(objective.rows, parts, scores);
  const own = { ...stateOf(task), totals: joined.part.totals, batches: await batchesOf(task, parts, step) };
  const evaluation = evaluatePart(task, joined.part, joined.scores, own, step);
  return { evaluation, joined: joined.part as Grid, scores };
}

/** Scores of the policy that the objective reads under its options. */
export function scoresNeeded({
  objective,
  objectiveOptions,
}: Pick<Task, 'objective' | 'objectiveOptions'>): PolicyScoreName[] {
  return [...objective.needsOf(objectiveOptions).policy] as PolicyScoreName[];
}

const stateOf = ({ state }: Task) => (state === undefined ? {} : { state });

/** Batches of all these parts that the objective reads as constants, with the policy's scores as they are now. */
export async function batchesOf(
  { policy, objective, objectiveOptions, temperature = 1 }: Task,
  parts: readonly Part[],
  step: number,
): Promise<NonNullable<ObjectiveInput['batches']>> {
  if (!objective.needsOf(objectiveOptions).batches?.includes('mismatched')) return {};
  const mismatched = parts.flatMap((part) => part.mismatched ?? []);
  const scores: Scores[] = [];
  for (const part of mismatched) {
    const given = scoresOf(await policy.score({ trees: part.trees, scores: ['logprobs'], temperature }));
    requireFinite(part, given, { of: 'mismatched', step });
    scores.push(given);
  }
  return { mismatched: batchOf(mismatched, scores) };
}

/** The objective on one part, after a look at its scores; what it throws is told with step and rows. */
export function evaluatePart(
  task: Task,
  part: Part,
  scores: Scores,
  given: { readonly totals: Totals } & Pick<ObjectiveInput, 'batches' | 'state'>,
  step: number,
): Evaluation {
  requireFinite(part, scores, { step });
  try {
    const evaluation = task.objective.evaluate(inputOf(part, scores, given), task.objectiveOptions);
    const { entropy } = scores;
    if (entropy === undefined || 'entropy' in evaluation.metrics) return evaluation;
    const tokens = part.totals.scoredTokens;
    return {
      ...evaluation,
      metrics: { ...evaluation.metrics, entropy: { sum: sumOver(part, entropy), count: tokens } },
    };
  } catch (error) {
    const problem = error instanceof ObjectiveError ? error : undefined;
    const row = problem?.where.row;
    const where = {
      score: problem?.where.field ?? 'loss',
      row: row === undefined ? idsOf(part.examples) : exampleOfRow(part.examples, row).example.id,
      step,
    };
    const code = problem?.code === 'non-finite-result' ? 'not-finite' : 'objective';
    throw new KelpieError(messageOf(error), { code, where, cause: error });
  }
}

/** Sum over the tokens that count. */
export function sumOver(grid: Grid, values: Float64Array): number {
  return total(rowSums(grid, values));
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((a, b) => a + b, 0);
}
