import { plan } from '@kelpie/data';
import { type Grid, type Metrics, meanMetrics, mergeMetrics, type ObjectiveState } from '@kelpie/objectives';
import { pathsOf, type TokenScores, type TokenTree, treeOf } from '@kelpie/policy';
import { type Example, idsOf, type Part, pack, partOf, type ReferenceTable } from '../rows.js';
import { updatePolicy } from '../run-shell.js';
import { accumulate, scoresNeeded, type Task } from '../step.js';
import type { OnlineOptions } from './options.js';
import { type Forward, microBatches, type Scored } from './rollouts.js';

/** What is learnt from rollouts: completions with all that an objective may read of them. */
export interface Lessons {
  readonly examples: readonly Example[];
  /** Scores of the policy that drew them, and of the reference. */
  readonly old: ReferenceTable;
  readonly reference: ReferenceTable;
  /** By prompt, by completion: [tokens]. */
  readonly advantages: readonly (readonly Float64Array[])[];
  /** What values are fitted to, where there are any; likewise. */
  readonly returns?: readonly (readonly Float64Array[])[];
}

/** The lessons of some rows, `rows` in the order they are to be learnt in; those of a prompt stand together. */
export function lessonsOf(whole: Lessons, rows: Int32Array, rewards: Float64Array): Lessons {
  const places = whole.examples.flatMap(({ tree }, prompt) => tree.branches.map((_, branch) => ({ prompt, branch })));
  const starts = new Map<number, { readonly branches: number[]; readonly rows: number[] }>();
  for (const row of rows) {
    const { prompt, branch } = places[row]!;
    const own = starts.get(prompt) ?? { branches: [], rows: [] };
    own.branches.push(branch);
    own.rows.push(row);
    starts.set(prompt, own);
  }
  const chosen = [...starts];
  const pick = <T>(table: readonly (readonly T[])[]) =>
    chosen.map(([prompt, { branches }]) => branches.map((branch) => table[prompt]![branch]!));
  const pickAll = (table: ReferenceTable): ReferenceTable =>
    Object.fromEntries(Object.entries(table).map(([name, values]) => [name, pick(values!)]));
  return {
    examples: chosen.map(([prompt, { branches, rows: own }]) => {
      const { id, tree, targetLogScores, external, ranks } = whole.examples[prompt]!;
      const paths = pathsOf(tree);
      const entire = branches.length === paths.length && branches.every((branch, at) => branch === at);
      return {
        id,
        tree: entire ? tree : treeOf(branches.map((branch) => paths[branch]!)),
        rewards: own.map((row) => rewards[row]!),
        ...(targetLogScores && { targetLogScores: branches.map((branch) => targetLogScores[branch]!) }),
        ...(ranks && { ranks: branches.map((branch) => ranks[branch]!) }),
        ...(external && { external: branches.map((branch) => external[branch]!) }),
      };
    }),
    old: pickAll(whole.old),
    reference: pickAll(whole.reference),
    advantages: pick(whole.advantages),
    ...(whole.returns && { returns: pick(whole.returns) }),
  };
}

/** Some of the lessons as an objective takes them. */
export function lessonPart(task: Pick<Task, 'objective'>, lessons: Lessons, indices: readonly number[]): Part {
  const part = partOf(task.objective.rows, lessons, indices);
  const packed = (table: readonly (readonly Float64Array[])[]) =>
    pack(
      part,
      indices.flatMap((index) => table[index]!),
    );
  return {
    ...part,
    old: Object.fromEntries(Object.entries(lessons.old).map(([name, table]) => [name, packed(table!)])),
    perToken: {
      ...part.perToken,
      advantages: packed(lessons.advantages),
      ...(lessons.returns && { returns: packed(lessons.returns) }),
    },
  };
}

export interface Learnt {
  readonly loss: number;
  /** Mean of the updates', before clipping. */
  readonly gradNorm: number;
  readonly updates: number;
  readonly metrics: Readonly<Record<string, number>>;
  readonly state?: ObjectiveState;
  /** Scores of the passes that were made now, whether the first update went on from them or not. */
  readonly scored: Scored;
}

type Pace = Pick<OnlineOptions, 'rolloutEpochs' | 'miniBatches' | 'microBatchTokens' | 'microBatchRows'>;

/** A critic apart from the policy: what it descends, and how fast. */
export interface CriticTask {
  readonly task: Task;
  readonly learningRate: number;
}

/**
 * Passes over the lessons, `miniBatches` updates each. The order of a pass depends on the seed alone. Loss and metrics are
 * means over all updates: ratios begin at 1 and leave it behind the first. A critic apart is fitted behind each update to
 * the same rows; its gradient's norm is `critic/grad_norm`. The first update goes on from `forwards`, the passes that gave
 * the old scores.
 */
export async function learn(
  task: Task,
  lessons: Lessons,
  {
    step,
    seed,
    learningRate,
    rolloutEpochs,
    miniBatches,
    critic,
    forwards = [],
    ...budget
  }: Pace & {
    readonly step: number;
    readonly seed: number;
    readonly learningRate: number;
    readonly critic?: CriticTask | undefined;
    readonly forwards?: readonly Forward[];
  },
): Promise<Learnt> {
  const { examples } = lessons;
  let { state } = task;
  if (examples.length === 0) {
    const scored = await unused(forwards, new Map());
    return { loss: 0, gradNorm: 0, updates: 0, metrics: {}, scored, ...(state && { state }) };
  }
  const rowsPerStep = Math.ceil(examples.length / miniBatches);
  const shuffle = miniBatches > 1;
  const losses: number[] = [];
  const norms: number[] = [];
  const metrics: Metrics[] = [];
  const scored = new Map<Forward, TokenScores>();
  for (const { rows } of plan({ examples, rowsPerStep, epochs: rolloutEpochs, seed, shuffle }).from()) {
    const given = { lessons, rows, budget, step };
    const first = losses.length === 0;
    const own = { ...given, learningRate, forwards: first ? forwards : [] };
    const result = await update({ ...task, ...(state && { state }) }, own);
    const fit = critic && (await update(critic.task, { ...given, learningRate: critic.learningRate }));
    state = result.state;
    for (const [forward, scores] of result.scored) scored.set(forward, scores);
    losses.push(result.loss);
    norms.push(result.gradNorm);
    const ofCritic = fit && { ...fit.metrics, 'critic/grad_norm': { sum: fit.gradNorm, count: 1 } };
    metrics.push({ ...result.metrics, ...ofCritic });
  }
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  return {
    loss: mean(losses),
    gradNorm: mean(norms),
    updates: losses.length,
    metrics: meanMetrics(mergeMetrics(metrics)),
    scored,
    ...(state && { state }),
  };
}

interface Update {
  readonly lessons: Lessons;
  readonly rows: readonly number[];
  readonly budget: Pick<Pace, 'microBatchTokens' | 'microBatchRows'>;
  readonly step: number;
  readonly learningRate: number;
  readonly forwards?: readonly Forward[];
}

/** One update on these rows. */
async function update(task: Task, { lessons, rows, budget, step, learningRate, forwards = [] }: Update) {
  const own = rows.map((row) => lessons.examples[row]!);
  const needs = scoresNeeded(task);
  const atOnce = forwards.some(({ later }) => later);
  const batches = microBatches(own, { ...budget, atOnce }, task.policy.info).map((batch) => {
    const part = lessonPart(
      task,
      lessons,
      batch.map((at) => rows[at]!),
    );
    const made = forwards.find(
      ({ trees, vjp }) => sameTrees(trees, part.trees) && needs.every((name) => vjp.scores[name] !== undefined),
    );
    return { made, part: (made === undefined ? part : { ...part, forward: made.vjp }) satisfies Part };
  });
  const parts = batches.map(({ part }) => part);
  const result = await accumulate(task, parts, { step, entropy: false });
  const given = batches.flatMap(({ made }, at): [Forward, TokenScores][] => {
    const scores = result.scored[at];
    return made && scores ? [[made, scores]] : [];
  });
  const scored = await unused(forwards, new Map(given));
  const { gradNorm } = await updatePolicy(task.policy, learningRate, step, () => idsOf(own));
  return { ...result, gradNorm, scored };
}

/** With the scores of the passes that nothing was learnt from: they are due before the weights change. */
async function unused(forwards: readonly Forward[], scored: Scored): Promise<Scored> {
  const all = new Map(scored);
  for (const forward of forwards) {
    if (forward.later && !all.has(forward)) all.set(forward, await forward.vjp.pullback({}));
  }
  return all;
}

/** The very same ones: a forward pass over them is this part's. */
function sameTrees(a: readonly TokenTree[], b: readonly TokenTree[]): boolean {
  return a.length === b.length && a.every((tree, at) => tree === b[at]);
}

/** [rows, tokens] of a table by prompt and completion. */
export function flat(grid: Grid, table: readonly (readonly Float64Array[])[]): Float64Array {
  return pack(grid, table.flat());
}

/** Numbers of [rows, tokens] by prompt and completion, as a table. */
export function byPrompt(
  { tokens, completionMask }: Grid,
  values: Float64Array,
  examples: readonly Example[],
): Float64Array[][] {
  let row = 0;
  return examples.map(({ tree }) =>
    tree.branches.map(() => {
      const from = row++ * tokens;
      const length = completionMask.subarray(from, from + tokens).reduce((sum, bit) => sum + bit, 0);
      return values.slice(from, from + length);
    }),
  );
}
