import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { forwardKl, getObjective, klEstimate, pearsonChi2, reverseKl } from '@kelpie/objectives';
import {
  type EnumerableWorld,
  enumerableWorld,
  expectation,
  optimalPolicy,
  randomPolicy,
  rootBetween,
  sequenceLogprobs,
  type TablePolicy,
  tokenLogprobs,
} from '@kelpie/objectives/enumerable';
import { seeded } from '@kelpie/objectives/testing';
import { rowReward } from '@kelpie/rewards';
import { memory, type OnlineOptionsInput, trainOnline } from '@kelpie/runner';
import { afterAll, describe, expect, it } from 'vitest';
import { prompt, sequenceNumbers, tableAsPolicy } from './table-policy.js';

const scratch = mkdtempSync(join(tmpdir(), 'kelpie-table-'));
afterAll(() => rmSync(scratch, { recursive: true }));
let runs = 0;

interface Way {
  readonly objective: string;
  readonly objectiveOptions?: Readonly<Record<string, unknown>>;
  readonly options: OnlineOptionsInput;
}

/** The loop itself, on a table in place of a transformer. Every prompt is the same: groups are draws of one distribution. */
async function train(
  { objective, objectiveOptions = {}, options }: Way,
  { space, rewards, referencePolicy }: EnumerableWorld,
  start: TablePolicy = referencePolicy,
) {
  const policy = tableAsPolicy(start, referencePolicy);
  const numbers = sequenceNumbers(space);
  const log = memory();
  const { promptsPerStep = 8 } = options;
  await trainOnline({
    policy,
    objective: getObjective(objective),
    objectiveOptions,
    prompts: Array.from({ length: promptsPerStep }, (_, i) => ({ id: `again ${i}`, ids: prompt })),
    rewards: [{ reward: rowReward(({ ids }) => rewards[numbers.get(Array.from(ids).join())!]!, { name: 'table' }) }],
    options: { promptsPerStep, maxNewTokens: space.length, keepRollouts: false, ...options },
    outFolder: join(scratch, `run-${++runs}`),
    loggers: [log],
    stop: space.end === undefined ? [] : [space.end],
    save: false,
  });
  return { logprobs: sequenceLogprobs(policy.table), log };
}

const paced = { steps: 100, completions: 16, learningRate: 0.1, schedule: 'linear', divergence: false } as const;
const percent = (share: number) => `${(100 * share).toFixed(2)} %`;

describe('on a table of all completions', () => {
  const world = enumerableWorld({ seed: 5, vocabulary: 4, length: 3 });
  const { reference, rewards } = world;
  const beta = 0.5;
  const values = { valueCoef: 1, valueClipRange: 0 };
  it.each([
    { objective: 'ppo', objectiveOptions: values, penalty: 'kl', divergence: reverseKl },
    { objective: 'rloo', objectiveOptions: {}, penalty: 'kl', divergence: reverseKl },
    { objective: 'dr-grpo', objectiveOptions: { tokenBudget: 3 }, penalty: 'kl', divergence: reverseKl },
    { objective: 'grpo', objectiveOptions: {}, penalty: 'kl', divergence: reverseKl },
    { objective: 'rloo', objectiveOptions: {}, penalty: 'occupancy-kl', divergence: reverseKl },
    { objective: 'rloo', objectiveOptions: {}, penalty: 'occupancy-chi2', divergence: pearsonChi2 },
    { objective: 'ppo', objectiveOptions: values, penalty: 'occupancy-chi2', divergence: pearsonChi2 },
  ] as const)(
    '$objective with $penalty in the reward comes to the optimum in closed form',
    async ({ objective, objectiveOptions, penalty, divergence }) => {
      const value = (logprobs: Float64Array) =>
        expectation(logprobs, rewards) - beta * divergence.exact(logprobs, reference).value;
      const options = { ...paced, penalty, penaltyCoef: beta };
      const reached = value((await train({ objective, objectiveOptions, options }, world)).logprobs);
      const [start, best] = [value(reference), value(optimalPolicy({ reference, rewards, divergence, beta }))];
      const gained = (reached - start) / (best - start);
      console.log(`${objective}, ${penalty}: ${percent(gained)} of what there is to gain`);
      expect(reached).toBeLessThanOrEqual(best + 1e-9);
      expect(gained).toBeGreaterThan(0.98);
    },
  );
});

/**
 * GRPO divides the advantages of a group by their deviation σ. With the penalty in the reward that changes no optimum:
 * there all that a group has is equal. With the penalty in the loss it does: what is held still is E R/σ - beta D, the
 * optimum of coefficient beta σ at the σ that the rewards then have. All completions have one length here, so that the
 * mean over each row's tokens is a factor, 1/3, and nothing else.
 */
it('GRPO with the penalty in the loss comes to the optimum of another coefficient: that times the deviation', async () => {
  const length = 3;
  const world = enumerableWorld({ seed: 7, vocabulary: 3, length, variableLength: false });
  const { reference } = world;
  const rewards = world.rewards.map((reward) => 0.4 * reward);
  const beta = 1;
  const at = (coefficient: number) => optimalPolicy({ reference, rewards, divergence: reverseKl, beta: coefficient });
  const kl = (logprobs: Float64Array) => reverseKl.exact(logprobs, reference).value;
  const value = (logprobs: Float64Array) => expectation(logprobs, rewards) - beta * kl(logprobs);
  const gain = (logprobs: Float64Array) => (value(logprobs) - value(reference)) / (value(at(beta)) - value(reference));
  const deviation = (logprobs: Float64Array) => {
    const mean = expectation(logprobs, rewards);
    return Math.sqrt(
      expectation(
        logprobs,
        rewards.map((reward) => (reward - mean) ** 2),
      ),
    );
  };
  let foretold = at(beta);
  for (let i = 0; i < 100; i++) foretold = at(beta * deviation(foretold));
  const pace = { ...paced, steps: 120, promptsPerStep: 2, completions: 96 };
  const options = { ...pace, penalty: 'occupancy-kl', penaltyIn: 'loss' } as const;
  const given = { ...world, rewards };
  const free = {
    objective: 'dr-grpo',
    objectiveOptions: { tokenBudget: 1 },
    options: { ...options, penaltyCoef: beta },
  };
  const normalised = { objective: 'grpo', options: { ...options, penaltyCoef: beta / length } };
  const [plain, biased] = [(await train(free, given)).logprobs, (await train(normalised, given)).logprobs];
  const tell = (name: string, logprobs: Float64Array) =>
    console.log(`${name}: ${percent(gain(logprobs))} of what there is to gain, KL ${kl(logprobs).toFixed(3)} nats`);
  tell('Dr. GRPO', plain);
  tell('GRPO', biased);
  const coefficient = beta * deviation(foretold);
  tell(`the optimum of coefficient ${coefficient.toFixed(3)} in place of ${beta}`, foretold);
  expect(gain(plain)).toBeGreaterThan(0.98);
  expect(gain(biased)).toBeLessThan(0.9);
  const reached = Math.exp(rootBetween((log) => kl(at(Math.exp(log))) - kl(biased), Math.log(0.1), Math.log(10)));
  console.log(`GRPO's KL is that of coefficient ${reached.toFixed(3)}`);
  expect(Math.abs(reached / coefficient - 1)).toBeLessThan(0.1);
});

describe('estimates of divergences from completions', () => {
  const world = enumerableWorld({ seed: 11, vocabulary: 4, length: 3 });
  const { space, reference, referencePolicy } = world;
  const noise = randomPolicy(space, seeded(12), 0.5);
  const policy = { space, logits: referencePolicy.logits.map((logit, i) => logit + noise.logits[i]!) };
  const logprobs = sequenceLogprobs(policy);

  /** [sequences]: Σ over a completion's tokens of a divergence between the next-token distributions. */
  const alongTheWay = (of: typeof reverseKl) => {
    const [p, q] = [tokenLogprobs(policy), tokenLogprobs(referencePolicy)];
    const { vocabulary, length, prefixOf, completionMask } = space;
    return Float64Array.from(logprobs, (_, sequence) => {
      let sum = 0;
      for (let at = sequence * length; at < (sequence + 1) * length; at++) {
        const from = prefixOf[at]! * vocabulary;
        const row = (table: Float64Array) => table.subarray(from, from + vocabulary);
        if (completionMask[at]) sum += of.exact(row(p), row(q)).value;
      }
      return sum;
    });
  };
  const ofRatio = (value: (logratio: number) => number) =>
    logprobs.map((logprob, sequence) => value(logprob - reference[sequence]!));
  const k3 = (logratio: number) => klEstimate('k3', logratio).value;

  /** What each completion adds to an estimate, and what the estimate is of. */
  const estimates: Readonly<Record<string, { readonly each: Float64Array; readonly exact: number }>> = {
    'divergence/kl_exact': { each: alongTheWay(reverseKl), exact: reverseKl.exact(logprobs, reference).value },
    'divergence/kl_k1': { each: ofRatio((r) => r), exact: reverseKl.exact(logprobs, reference).value },
    'divergence/kl_k3': { each: ofRatio(k3), exact: reverseKl.exact(logprobs, reference).value },
    'divergence/chi2': {
      each: ofRatio((r) => Math.exp(r) + Math.exp(-r) - 2),
      exact: pearsonChi2.exact(logprobs, reference).value,
    },
    'divergence/forward_kl': {
      each: alongTheWay(forwardKl),
      exact: expectation(logprobs, alongTheWay(forwardKl)),
    },
  };

  it.each([1, 2, 3].map((seed) => ({ seed })))(
    'agree with enumeration within their confidence interval, seed $seed',
    async ({ seed }) => {
      const options = { steps: 1, promptsPerStep: 8, completions: 256, learningRate: 1e-12, seed } as const;
      const { log } = await train({ objective: 'rloo', options }, world, policy);
      const { metrics } = log.of('step')[0]!;
      const told = Object.keys(metrics).filter((key) => key.startsWith('divergence/'));
      expect(told.sort()).toEqual(Object.keys(estimates).sort());
      for (const [key, { each, exact }] of Object.entries(estimates)) {
        expect(expectation(logprobs, each), `${key} without bias`).toBeCloseTo(exact, 10);
        const variance = expectation(
          logprobs,
          each.map((value) => (value - exact) ** 2),
        );
        const error = Math.sqrt(variance / (8 * 256));
        expect(Math.abs(metrics[key]! - exact), `${key}: ${metrics[key]} of ${exact} ± ${error}`).toBeLessThan(
          3.29 * error,
        );
      }
    },
  );
});
