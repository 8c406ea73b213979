import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { getObjective, pearsonChi2, reverseKl } from '@kelpie/objectives';
import { optimalPolicy } from '@kelpie/objectives/enumerable';
import { openPolicy } from '@kelpie/policy';
import { rowReward } from '@kelpie/rewards';
import { type OnlineOptionsInput, trainOnline } from '@kelpie/runner';
import { describe, expect, it } from 'vitest';
import { allLogprobs, digits, mean, regularisedValue, sequences } from './exact.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
const model = resolve(root, process.env.KELPIE_SHARED ?? '../shared', 'models/gpt-nano-sort');

/** The model sorts nearly surely; at this temperature it also tries other things. */
const temperature = 4;
const beta = 0.1;
const twos = (ids: ArrayLike<number>) => Array.from(ids).filter((id) => id === 2).length / digits;
const rewards = Float64Array.from(sequences, twos);

interface Way {
  readonly name: string;
  readonly penalty: 'kl' | 'occupancy-chi2';
  readonly objectiveOptions?: Readonly<Record<string, unknown>>;
  readonly own?: OnlineOptionsInput;
}

const ways: readonly Way[] = [
  { name: 'rloo', penalty: 'kl' },
  { name: 'dr-grpo', penalty: 'kl', objectiveOptions: { tokenBudget: digits } },
  { name: 'grpo', penalty: 'kl' },
  {
    name: 'ppo',
    penalty: 'kl',
    objectiveOptions: { valueCoef: 0.5, valueClipRange: 0 },
    own: { gaeLambda: 1, miniBatches: 3, schedule: 'linear' },
  },
  { name: 'rloo', penalty: 'occupancy-chi2', own: { rolloutEpochs: 2, schedule: 'linear' } },
];

/** Nine of the 729 prompts, spread over all. `KELPIE_ALL_PROMPTS=1` takes every one, and as many more steps. */
const all = process.env.KELPIE_ALL_PROMPTS === '1';
const chosen = all ? sequences : Array.from({ length: 9 }, (_, i) => sequences[i * 81 + ((i * 31) % 81)]!);
const prompts = chosen.map((ids) => ({ id: ids.join(''), ids }));

describe.skipIf(!existsSync(model))(
  `every completion of ${model}${existsSync(model) ? '' : ' (absent: skipped)'}`,
  () => {
    it.each(ways)(
      '$name with $penalty in the reward comes within two hundredths of the best regularised value there is',
      async ({ name, penalty, objectiveOptions = {}, own = {} }) => {
        const divergence = penalty === 'kl' ? reverseKl : pearsonChi2;
        const outFolder = mkdtempSync(join(tmpdir(), 'kelpie-optimum-'));
        await using policy = await openPolicy({
          model,
          threads: 1,
          keepReference: true,
          ...(name === 'ppo' && { scalarHead: 'beside' as const }),
        });
        const reference = await allLogprobs(policy, chosen, temperature);
        await trainOnline({
          policy,
          objective: getObjective(name),
          objectiveOptions,
          prompts,
          rewards: [{ reward: rowReward(({ ids }) => twos(ids), { name: 'twos' }) }],
          options: {
            steps: all ? 240 : 60,
            promptsPerStep: all ? 27 : chosen.length,
            completions: 32,
            maxNewTokens: digits,
            learningRate: 1.5e-3,
            schedule: 'constant',
            temperature,
            penalty,
            penaltyCoef: beta,
            divergence: false,
            keepRollouts: false,
            seed: 1,
            ...own,
          },
          outFolder,
          loggers: [],
          save: false,
        });
        rmSync(outFolder, { recursive: true });
        const logprobs = await allLogprobs(policy, chosen, temperature);
        const value = (own: Float64Array, at: number) =>
          regularisedValue(own, reference[at]!, rewards, { beta, divergence });
        const reached = mean(logprobs.map(value));
        const start = mean(reference.map(value));
        const best = mean(
          reference.map((own, at) => value(optimalPolicy({ reference: own, rewards, beta, divergence }), at)),
        );
        const percent = (share: number) => `${(100 * share).toFixed(2)} %`;
        const gained = (reached - start) / (best - start);
        console.log(
          `${name}, ${penalty}: ${percent(reached / best)} of the best value, ${percent(gained)} of the gain`,
        );
        expect(best).toBeGreaterThan(1.05 * start);
        expect(reached).toBeLessThanOrEqual(best + 1e-6);
        expect(reached / best).toBeGreaterThan(0.98);
      },
      600_000,
    );
  },
);
