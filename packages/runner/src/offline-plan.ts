import { join } from 'node:path';
import { type Plan, plan } from '@kelpie/data';
import { KelpieError } from '@kelpie/policy';
import { z } from 'zod';
import { type Checkpoint, findCheckpoint, requireSameConfig } from './checkpoint.js';
import type { OfflineRun } from './offline.js';
import { asRead, hashExamples, requireOffline } from './offline-rows.js';
import type { Example } from './rows.js';
import { looseOptions, trainOptions, withBudget } from './train-options.js';

type Budgeted = ReturnType<typeof withBudget>;

/** What of a run is known before it begins. */
export interface PlannedRun {
  readonly options: Budgeted;
  /** As the objective reads them. */
  readonly examples: readonly Example[];
  readonly heldout: readonly Example[];
  /** All that decides on the result. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly plan: Plan;
  readonly steps: number;
  /** What may not be meant. */
  readonly warnings: readonly string[];
}

/** Checks a run and tells what it comes to, before anything is written. */
export function planOffline(run: Omit<OfflineRun, 'outFolder'>): PlannedRun {
  const { policy, objective, objectiveOptions = {}, objectiveHash, tokenizer } = run;
  requireOffline(objective, objectiveOptions);
  const needs = objective.needsOf(objectiveOptions);
  const read = (rows: readonly Example[] = []) => asRead(rows, objective, objectiveOptions);
  const [examples, heldout] = [read(run.examples), read(run.heldout)];
  const parsed = trainOptions.safeParse(run.options ?? {});
  if (!parsed.success) throw new KelpieError(z.prettifyError(parsed.error), { code: 'bad-option' });
  const options = withBudget(parsed.data, policy.info, [...examples, ...heldout]);
  const { maxSteps, epochs } = options;
  const planned = plan({
    ...batching(options),
    examples,
    rowsPerStep: options.batchSize,
    epochs: maxSteps === undefined ? epochs : Infinity,
  });
  const steps = maxSteps ?? planned.steps;
  const strict = Object.entries(options).filter(([name]) => !looseOptions.some((loose) => loose === name));
  const config = {
    objective: objective.name,
    objectiveOptions: objective.resolveOptions(objectiveOptions),
    ...(objectiveHash !== undefined && { objectiveHash }),
    options: Object.fromEntries(strict),
    model: policy.info.hash,
    reference: policy.info.referenceHash,
    tokenizer: tokenizer?.hash ?? null,
    examples: hashExamples(examples, needs),
    heldout: hashExamples(heldout, needs),
  };
  return { options, examples, heldout, config, plan: planned, steps, warnings: oddities(options, steps) };
}

function oddities({ warmupSteps, syncReferenceEvery }: Budgeted, steps: number): string[] {
  const found: string[] = [];
  if (warmupSteps >= steps && warmupSteps > 0) {
    found.push(
      `the warm-up takes ${warmupSteps} steps and the run has ${steps}: the learning rate never reaches its peak`,
    );
  }
  if (syncReferenceEvery > 0) {
    found.push(
      'the reference moves: rewards and divergences are from where it then stands, and compare only in between',
    );
  }
  return found;
}

/** The checkpoint that a resumed run goes on from, if its folder has any; refused if it was made otherwise. */
export async function checkpointOf(
  outFolder: string,
  { config, steps }: Pick<PlannedRun, 'config' | 'steps'>,
  onWarning: (message: string) => void,
): Promise<Checkpoint | undefined> {
  const checkpoint = await findCheckpoint(join(outFolder, 'checkpoints'), onWarning);
  if (checkpoint === undefined) onWarning(`no checkpoint in ${outFolder}: beginning`);
  else requireSameConfig(checkpoint, config, { steps });
  return checkpoint;
}

/** What decides on the micro-batches. */
export function batching({ microBatchTokens, microBatchRows, shuffle, seed }: Budgeted) {
  return { microBatchTokens, ...(microBatchRows === undefined ? {} : { microBatchRows }), shuffle, seed };
}
