import { createHash } from 'node:crypto';
import { hashTrees } from '@kelpie/data';
import type { Needs, Objective } from '@kelpie/objectives';
import { KelpieError } from '@kelpie/policy';
import { type Example, mismatchedTrees, withPromptScored } from './rows.js';

type Options = Readonly<Record<string, unknown>>;

/** Rows of files carry no rollouts. */
export function requireOffline(objective: Objective, objectiveOptions: Options): void {
  const { old = [], perToken = [] } = objective.needsOf(objectiveOptions);
  const missing = [...old.map((score) => `old ${score}`), ...perToken.filter((field) => field !== 'promptTokens')];
  if (missing.length === 0) return;
  throw new KelpieError(
    `the objective \`${objective.name}\` needs ${missing.join(', ')}: offline rows have none of it`,
    {
      code: 'objective-not-offline',
      where: { objective: objective.name },
    },
  );
}

/** The examples as the objective reads them: with the prompt scored along, if it asks for the prompt's tokens. */
export function asRead(
  examples: readonly Example[],
  objective: Objective,
  objectiveOptions: Options,
): readonly Example[] {
  const needs = objective.needsOf(objectiveOptions);
  if (readsMismatched(needs)) mismatchedTrees(examples);
  if (!needs.perToken?.includes('promptTokens')) return examples;
  return examples.map((example) => withPromptScored(objective.rows, example));
}

export function readsMismatched({ batches = [] }: Needs): boolean {
  return batches.includes('mismatched');
}

/** Of all that a run reads of its examples. */
export function hashExamples(examples: readonly Example[], needs: Needs): string {
  const trees = examples.map(({ tree }) => tree);
  const ids = hashTrees(readsMismatched(needs) ? [...trees, ...mismatchedTrees(examples)] : trees);
  const numbers = examples.flatMap(
    ({ labels = [], densityRatios = [], margins = [], ranks = [], completionFrom = [] }) => [
      [...labels],
      [...densityRatios],
      ...(margins.length + ranks.length > 0 ? [[...margins], [...ranks]] : []),
      [...completionFrom],
    ],
  );
  if (numbers.flat().length === 0) return ids;
  return createHash('sha256')
    .update(`${ids}\n${JSON.stringify(numbers)}`)
    .digest('hex');
}
