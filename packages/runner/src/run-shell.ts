import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type AdamWOptions, KelpieError, type Policy, type SaveOptions } from '@kelpie/policy';
import { Events, type Logger } from './events.js';
import { messageOf, writeWhole } from './files.js';
import { openRunFolder, requireNew, requireResumable } from './run-folder.js';
import type { TrainOptions } from './train-options.js';

/** Has the run's folder while the body runs. A run that fails before its first step leaves nothing behind. */
export async function inRunFolder<Result>(
  {
    outFolder,
    resume = false,
    loggers,
  }: { readonly outFolder: string; readonly resume?: boolean | undefined; readonly loggers: readonly Logger[] },
  body: (events: Events) => Promise<Result>,
): Promise<Result> {
  let stepped = false;
  const watch: Logger = {
    name: 'first step',
    log: ({ type }) => {
      stepped ||= type === 'step';
    },
  };
  const events = new Events([...loggers, watch]);
  if (resume) requireResumable(outFolder);
  else requireNew(outFolder);
  const folder = openRunFolder(outFolder);
  try {
    const result = await body(events);
    await events.flush();
    return result;
  } catch (error) {
    // The first error is told; what could not be written then either is dropped by the run that resumes.
    await events.flush().catch(() => undefined);
    if (!stepped) folder.giveBack();
    throw error;
  } finally {
    folder.close();
  }
}

type AdamW = Pick<TrainOptions, 'beta1' | 'beta2' | 'eps' | 'weightDecay' | 'decay' | 'maxGradNorm'>;

export function optimizerOptions({ beta1, beta2, eps, weightDecay, decay, maxGradNorm }: AdamW): AdamWOptions {
  return { betas: [beta1, beta2], eps, weightDecay, decay, maxGradNorm };
}

/** One optimizer step; a gradient that is not finite is told with rows and step. */
export async function updatePolicy(policy: Policy, learningRate: number, step: number, rows: () => string) {
  try {
    return await policy.step(learningRate);
  } catch (error) {
    throw new KelpieError(messageOf(error), {
      code: 'not-finite',
      where: { score: 'gradient', row: rows(), step },
      cause: error,
    });
  }
}

/** Saves the model and writes `run.json`, which says that the run is finished. */
export async function finishRun(
  policy: Policy,
  outFolder: string,
  { save = {}, ...facts }: { readonly save?: SaveOptions | false | undefined } & Readonly<Record<string, unknown>>,
): Promise<void> {
  if (save !== false) await policy.save(join(outFolder, 'model'), save);
  const { modelType, parameters, trainedParameters, threads } = policy.info;
  const record = {
    format: 'kelpie-run/1',
    versions: { kelpie: version(), node: process.versions.node },
    model: { modelType, parameters, trainedParameters, threads },
    ...facts,
  };
  await writeWhole(join(outFolder, 'run.json'), `${JSON.stringify(record, null, 2)}\n`);
}

function version(): string {
  return (JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }).version;
}
