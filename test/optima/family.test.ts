import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { getObjective, reverseKl } from '@kelpie/objectives';
import { enumerableWorld, expectation, optimalPolicy, sequenceLogprobs } from '@kelpie/objectives/enumerable';
import { rowReward } from '@kelpie/rewards';
import { type OnlineOptionsInput, trainOnline } from '@kelpie/runner';
import { afterAll, describe, expect, it } from 'vitest';
import { prompt, sequenceNumbers, tableAsPolicy } from './table-policy.js';

const scratch = mkdtempSync(join(tmpdir(), 'kelpie-family-'));
afterAll(() => rmSync(scratch, { recursive: true }));

const world = enumerableWorld({ seed: 5, vocabulary: 4, length: 3 });
const { space, reference, rewards, referencePolicy } = world;
const beta = 0.5;
const numbers = sequenceNumbers(space);
const table = rowReward(({ ids }) => rewards[numbers.get(Array.from(ids).join())!]!, { name: 'table' });

/** E R - beta KL(π ‖ π_ref), and how much of what there is to gain of it a run has gained. */
const value = (logprobs: Float64Array) =>
  expectation(logprobs, rewards) - beta * reverseKl.exact(logprobs, reference).value;
const [start, best] = [value(reference), value(optimalPolicy({ reference, rewards, divergence: reverseKl, beta }))];

interface Way {
  readonly objective: string;
  readonly objectiveOptions?: Readonly<Record<string, unknown>>;
  readonly options?: OnlineOptionsInput;
}

async function gained(name: string, { objective, objectiveOptions = {}, options = {} }: Way): Promise<number> {
  const policy = tableAsPolicy(referencePolicy, referencePolicy);
  await trainOnline({
    policy,
    objective: getObjective(objective),
    objectiveOptions,
    prompts: Array.from({ length: 8 }, (_, i) => ({ id: `again ${i}`, ids: prompt })),
    rewards: [{ reward: table }],
    options: {
      ...({ steps: 150, promptsPerStep: 8, completions: 16, learningRate: 0.1, divergence: false } as const),
      ...{ maxNewTokens: space.length, keepRollouts: false },
      ...options,
    },
    outFolder: join(scratch, name),
    loggers: [],
    stop: space.end === undefined ? [] : [space.end],
    save: false,
  });
  const share = (value(sequenceLogprobs(policy.table)) - start) / (best - start);
  console.log(`${name}: ${(100 * share).toFixed(2)} % of what there is to gain`);
  return share;
}

describe('what comes to the optimum of the KL-regularised reward', () => {
  it.each(['forward-kl', 'reverse-kl', 'js'])('f-DPG along %s', async (divergence) => {
    const way = { objective: 'f-dpg', objectiveOptions: { divergence }, options: { targetBeta: beta } };
    expect(await gained(`f-dpg along ${divergence}`, way)).toBeGreaterThan(0.98);
  });

  it('GVPO, anchored at the reference', async () => {
    const way = { objective: 'gvpo', objectiveOptions: { anchor: 'reference', beta } };
    expect(await gained('gvpo', way)).toBeGreaterThan(0.98);
  });

  it('RLOO with the exact KL in both; in the loss alone it comes elsewhere', async () => {
    const way = (penaltyIn: 'both' | 'loss') => ({
      objective: 'rloo',
      options: { penalty: 'exact-reverse-kl', penaltyIn, penaltyCoef: beta } as const,
    });
    const both = await gained('rloo with exact KL in both', way('both'));
    expect(both).toBeGreaterThan(0.98);
    expect(await gained('rloo with exact KL in the loss', way('loss'))).toBeLessThan(both - 0.002);
  });
});
