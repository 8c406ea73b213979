import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { getObjective } from '@kelpie/objectives';
import { openPolicy } from '@kelpie/policy';
import { rowReward } from '@kelpie/rewards';
import { trainOnline } from '@kelpie/runner';
import { describe, expect, it } from 'vitest';
import { allLogprobs, bestValue, digits, mean, regularisedValue, sequences } from './exact.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
const model = resolve(root, process.env.KELPIE_SHARED ?? '../shared', 'models/gpt-nano-sort');

/** The model sorts nearly surely; at this temperature it also tries other things. */
const temperature = 4;
const beta = 0.1;
const twos = (ids: ArrayLike<number>) => Array.from(ids).filter((id) => id === 2).length / digits;
const rewards = Float64Array.from(sequences, twos);

/** Nine of the 729 prompts, spread over all. `KELPIE_ALL_PROMPTS=1` takes every one, and as many more steps. */
const all = process.env.KELPIE_ALL_PROMPTS === '1';
const chosen = all ? sequences : Array.from({ length: 9 }, (_, i) => sequences[i * 81 + ((i * 31) % 81)]!);
const prompts = chosen.map((ids) => ({ id: ids.join(''), ids }));

describe.skipIf(!existsSync(model))(
  `every completion of ${model}${existsSync(model) ? '' : ' (absent: skipped)'}`,
  () => {
    it.each(['rloo', 'dr-grpo'])(
      '%s with a KL in the reward comes within two hundredths of the best regularised value there is',
      async (name) => {
        const outFolder = mkdtempSync(join(tmpdir(), 'kelpie-optimum-'));
        await using policy = await openPolicy({ model, threads: 1, keepReference: true });
        const reference = await allLogprobs(policy, chosen, temperature);
        await trainOnline({
          policy,
          objective: getObjective(name),
          objectiveOptions: name === 'dr-grpo' ? { tokenBudget: digits } : {},
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
            penalty: 'kl',
            penaltyCoef: beta,
            divergence: false,
            keepRollouts: false,
            seed: 1,
          },
          outFolder,
          loggers: [],
          save: false,
        });
        rmSync(outFolder, { recursive: true });
        const logprobs = await allLogprobs(policy, chosen, temperature);
        const reached = mean(logprobs.map((own, i) => regularisedValue(own, reference[i]!, rewards, beta)));
        const start = mean(reference.map((own) => regularisedValue(own, own, rewards, beta)));
        const best = mean(reference.map((own) => bestValue(own, rewards, beta)));
        expect(best).toBeGreaterThan(1.25 * start);
        expect(reached).toBeLessThanOrEqual(best + 1e-6);
        expect(reached / best).toBeGreaterThan(0.98);
      },
      600_000,
    );
  },
);
