import {
  addTotals,
  type Evaluation,
  type Grid,
  type Metrics,
  mergeMetrics,
  type Objective,
  ObjectiveError,
  rowSums,
  type Scores,
  type Totals,
  total,
} from '@kelpie/objectives';
import { KelpieError, type Policy, type ScoreName as PolicyScoreName } from '@kelpie/policy';
import { messageOf } from './files.js';
import { exampleOfRow, idsOf, inputOf, join, type Part, requireFinite, scoresOf, splitCotangents } from './rows.js';

/** What is trained and how it is judged. */
export interface Task {
  readonly policy: Policy;
  readonly objective: Objective;
  readonly objectiveOptions?: Readonly<Record<string, unknown>>;
  /** Divides the logits. Default 1. */
  readonly temperature?: number;
}

export interface StepResult {
  readonly loss: number;
  readonly metrics: Metrics;
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
}

/**
 * The gradients of one step, added up in the policy, and its loss and metrics. Separable objectives: forward, evaluate
 * with the step's totals, backward, part by part. Others: score all parts, evaluate once on the joined rows, then forward
 * and backward of each part with its slice of the cotangents. Averaged by micro-batch, every objective goes part by part.
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
  if (objective.separable || apart || parts.length === 1) {
    const results: StepResult[] = [];
    for (const part of parts) {
      const evaluated = (scores: Scores) => {
        const evaluation = evaluatePart(task, part, scores, apart ? part.totals : totals, step);
        return apart ? scaled(evaluation, 1 / parts.length) : evaluation;
      };
      if (objective.linear) {
        const { cotangents } = evaluated(zeros(part, logged));
        const given = await policy.pull({ trees: part.trees, scores: logged, temperature, cotangents });
        const { loss, metrics } = evaluated(scoresOf(given));
        results.push({ loss, metrics });
        continue;
      }
      const { scores: given, pullback, release } = await policy.vjp({ trees: part.trees, scores: logged, temperature });
      try {
        const { loss, metrics, cotangents } = evaluated(scoresOf(given));
        await pullback(cotangents);
        results.push({ loss, metrics });
      } catch (error) {
        await release();
        throw error;
      }
    }
    const microBatches = results.map(({ metrics }) => metrics);
    return { loss: sum(results.map(({ loss }) => loss)), metrics: mergeMetrics(microBatches), microBatches };
  }
  const { evaluation, joined } = await evaluateJoined(task, parts, logged, step);
  const slices = splitCotangents(evaluation.cotangents, joined, parts);
  for (const [i, { trees }] of parts.entries()) {
    const { pullback } = await policy.vjp({ trees, scores: needs, temperature });
    await pullback(slices[i]!);
  }
  return { ...evaluation, microBatches: [evaluation.metrics] };
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
  for (const part of parts) {
    const given = scoresOf(await policy.score({ trees: part.trees, scores: names, temperature }));
    results.push(evaluatePart(task, part, given, totals, step));
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
    const given = scoresOf(await policy.score({ trees: part.trees, scores: names, temperature }));
    requireFinite(part, given, { step });
    scores.push(given);
  }
  const joined = join(objective.rows, parts, scores);
  const evaluation = evaluatePart(task, joined.part, joined.scores, joined.part.totals, step);
  return { evaluation, joined: joined.part as Grid, scores };
}

/** Scores of the policy that the objective reads under its options. */
export function scoresNeeded({ objective, objectiveOptions }: Task): PolicyScoreName[] {
  return [...objective.needsOf(objectiveOptions).policy] as PolicyScoreName[];
}

/** The objective on one part, after a look at its scores; what it throws is told with step and rows. */
export function evaluatePart(task: Task, part: Part, scores: Scores, totals: Totals, step: number): Evaluation {
  requireFinite(part, scores, { step });
  try {
    const evaluation = task.objective.evaluate(inputOf(part, scores, totals), task.objectiveOptions);
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
