import { existsSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { getObjective } from '@kelpie/objectives';
import { openPolicy, type Tokenizer } from '@kelpie/policy';
import { asJudged, holdOut, padTokenOf, trainOffline } from '@kelpie/runner';
import { type ArmName, labelsOf } from './arms.js';
import type { RunSettings } from './settings.js';
import { base, pairsOf } from './shipped.js';
import { readJson, writeJson } from './store.js';

/** What a reward model came to on pairs that are held out. */
export interface LabelRecord {
  readonly arm: ArmName;
  readonly seed: number;
  readonly labels: number;
  readonly steps: number;
  readonly accuracy: number;
  readonly calibrationError: number;
}

const fileOf = (folder: string): string => join(folder, 'heldout.json');

/** Trains the reward model of an arm and a seed, unless its folder is there. Folder: `model/`, `heldout.json`. */
export async function trainLabels(
  folder: string,
  {
    arm,
    seed,
    settings: { labels: most, labelSteps, reference },
    tokenizer,
    threads,
  }: {
    readonly arm: ArmName;
    readonly seed: number;
    readonly settings: Pick<RunSettings, 'labels' | 'labelSteps' | 'reference'>;
    readonly tokenizer: Tokenizer;
    readonly threads: number;
  },
): Promise<LabelRecord> {
  const labels = labelsOf(arm, most);
  if (existsSync(fileOf(folder))) {
    const found = readJson<LabelRecord>(fileOf(folder));
    if (found.labels === labels && found.steps === labelSteps) return found;
    throw new Error(
      `${folder}: expected a reward model of ${labels} pairs and ${labelSteps} steps, found ${found.labels} and ${found.steps}: take another --out`,
    );
  }
  rmSync(folder, { recursive: true, force: true });
  const padTokenId = padTokenOf(tokenizer);
  const judged = async (file: 'pairs' | 'heldout') =>
    (await pairsOf(file, tokenizer)).map((pair) => ({ ...pair, ...asJudged(pair, padTokenId) }));
  const { heldout: examples } = holdOut(await judged('pairs'), { heldout: labels, seed });
  await using policy = await openPolicy({ model: base, scalarHead: 'alone', scalarHeadSeed: seed, threads });
  const partial = `${folder}.partial`;
  rmSync(partial, { recursive: true, force: true });
  const { metrics } = await trainOffline({
    policy,
    objective: getObjective('reward-model'),
    objectiveOptions: { centerCoefficient: 0.01 },
    examples,
    heldout: (await judged('heldout')).slice(0, reference),
    options: { learningRate: 1e-3, batchSize: 16, maxSteps: labelSteps, seed },
    outFolder: partial,
    tokenizer,
    loggers: [],
    save: { padTokenId },
  });
  const record: LabelRecord = {
    arm,
    seed,
    labels,
    steps: labelSteps,
    accuracy: metrics['eval_rewards/accuracies']!,
    calibrationError: metrics['eval_calibration/ece']!,
  };
  writeJson(fileOf(partial), record);
  renameSync(partial, folder);
  return record;
}
