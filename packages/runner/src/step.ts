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

/**
 * The gradients of one step, added up in the policy, and its loss and metrics. Separable objectives: forward, evaluate
 * with the step's totals, backward, part by part. Others: score all parts, evaluate once on the joined rows, then forward
 * and backward of each part with its slice of the cotangents.
 */
export async function accumulate(
  task: Task,
  parts: readonly Part[],
  { step, entropy }: { readonly step: number; readonly entropy: boolean },
): Promise<StepResult> {
  const { policy, objective, temperature = 1 } = task;
  const totals = addTotals(parts.map((part) => part.totals));
  const needs = scoresNeeded(task);
  const logged = entropy && !needs.includes('entropy') ? [...needs, 'entropy' as const] : needs;
  if (objective.separable || parts.length === 1) {
    const results: StepResult[] = [];
    for (const part of parts) {
      const { scores: given, pullback, release } = await policy.vjp({ trees: part.trees, scores: logged, temperature });
      try {
        const evaluation = evaluatePart(task, part, scoresOf(given), totals, step);
        await pullback(evaluation.cotangents);
        results.push(evaluation);
      } catch (error) {
        await release();
        throw error;
      }
    }
    return {
      loss: sum(results.map(({ loss }) => loss)),
      metrics: mergeMetrics(results.map(({ metrics }) => metrics)),
    };
  }
  const { evaluation, joined } = await evaluateJoined(task, parts, logged, step);
  const slices = splitCotangents(evaluation.cotangents, joined, parts);
  for (const [i, { trees }] of parts.entries()) {
    const { pullback } = await policy.vjp({ trees, scores: needs, temperature });
    await pullback(slices[i]!);
  }
  return evaluation;
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
