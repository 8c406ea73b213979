import { isDivergence, type Needs, type Objective } from '@kelpie/objectives';
import { KelpieError, type PolicyInfo, type ScoreName } from '@kelpie/policy';
import { readsMismatched } from './offline-rows.js';
import { referenceScores } from './reference.js';
import { type Example, mismatchedTrees, type Part, partOf, type Rows } from './rows.js';
import type { Task } from './step.js';
import type { TrainOptions } from './train-options.js';

type Schedule = Pick<TrainOptions, 'syncReferenceEvery'>;

/** Whether the reference moves behind this step. Gorbatovski et al. 2024 (TR-DPO), arXiv:2404.09656. */
export function movesBehind(step: number, { syncReferenceEvery: every }: Schedule): boolean {
  return every > 0 && step % every === 0;
}

/** Whether it has moved when so many steps are done: scores of its start are then of no use. */
export function hasMoved(stepsDone: number, { syncReferenceEvery: every }: Schedule): boolean {
  return every > 0 && stepsDone >= every;
}

/** @throws KelpieError where a reference is to move that is not read, or cannot. */
export function requireMovable(
  { name, needsOf }: Objective,
  objectiveOptions: Readonly<Record<string, unknown>>,
  { referenceMoves }: PolicyInfo,
): void {
  const where = { option: 'syncReferenceEvery' };
  if (!readsAny(needsOf(objectiveOptions))) {
    throw new KelpieError(
      `the objective \`${name}\` reads no reference that could move: leave \`syncReferenceEvery\` 0`,
      {
        code: 'bad-option',
        where,
      },
    );
  }
  if (!referenceMoves) {
    throw new KelpieError("the policy's reference cannot move: open it with keepReference `moving`", {
      code: 'bad-option',
      where,
    });
  }
}

function readsAny({ policy, reference }: Needs): boolean {
  return reference.length > 0 || policy.some(isDivergence);
}

/** Some examples, scored by the reference as it stands now, all together and in nobody's cache. */
export async function livePart(task: Task, { examples }: Rows, indices: readonly number[]): Promise<Part> {
  const { policy, objective, objectiveOptions, temperature } = task;
  const needs = objective.needsOf(objectiveOptions);
  const rows = indices.map((index) => examples[index]!);
  const table = (of: readonly Example[]) =>
    referenceScores({
      policy,
      examples: of,
      scores: [...needs.reference] as ScoreName[],
      batches: [[...of.keys()]],
      ...(temperature === undefined ? {} : { temperature }),
    });
  const trees = readsMismatched(needs) ? mismatchedTrees(rows) : undefined;
  const live: Rows = {
    examples: rows,
    reference: await table(rows),
    ...(trees && { mismatched: await table(rows.map((row, i) => ({ ...row, tree: trees[i]! }))) }),
  };
  return partOf(objective.rows, live, [...rows.keys()]);
}
