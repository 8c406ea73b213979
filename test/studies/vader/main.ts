import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { getObjective } from '@kelpie/objectives';
import { openPolicy, openTokenizer, type Policy, type Tokenizer } from '@kelpie/policy';
import { lexicon, momentsOfRewards, normalised, type Reward } from '@kelpie/rewards';
import { jsonl, type OnlinePrompt, rollouts, timing, trainOnline } from '@kelpie/runner';
import { shared } from '../../bench/peers.js';
import { peakRssMb } from '../../bench/processes.js';
import { beginnings, heldOut } from './prompts.js';

const defaults = {
  out: 'runs/vader',
  steps: '150',
  'learning-rate': '3e-4',
  'penalty-coef': '0.05',
  'critic-coef': '0.1',
  epochs: '2',
  minutes: '15',
  seed: '0',
};

export const usage = `usage: npm run study -- vader [options]

PPO with a value head beside the policy's own: TinyStories-656K writes stories that VADER's lexicon finds glad.
Reads models/TinyStories-656K and data/vader of \${KELPIE_SHARED:-../shared}.

  ${Object.entries(defaults)
    .map(([name, value]) => `--${name} ${value}`)
    .join(' ')}`;

const maxNewTokens = 64;
/** Completions of a prompt in a measurement. */
const measured = 16;

export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: Object.fromEntries(
      Object.entries(defaults).map(([name, value]) => [name, { type: 'string' as const, default: value }]),
    ),
  });
  const given = values as Record<keyof typeof defaults, string>;
  const model = shared('models/TinyStories-656K');
  const file = shared('data/vader/vader_lexicon.txt');
  for (const path of [model, file]) if (!existsSync(path)) throw new Error(`${path} is not there (KELPIE_SHARED)`);
  const tokenizer = await openTokenizer(model);
  const prompts = beginnings.map(
    (text, at): OnlinePrompt => ({ id: `beginning-${at + 1}`, text, ids: tokenizer.encode(text) }),
  );
  const [train, held] = [prompts.slice(0, -heldOut), prompts.slice(-heldOut)];
  const reward = await lexicon.open({ file });
  const out = given.out;
  rmSync(out, { recursive: true, force: true });
  await using policy = await openPolicy({ model, scalarHead: 'beside', keepReference: true });
  const started = performance.now();
  const sentiment = (on: readonly OnlinePrompt[]) => measure(policy, { prompts: on, reward, tokenizer });
  const start = await sentiment(train);
  const before = await sentiment(held);
  const { mean, deviation } = momentsOfRewards(start.rewards);
  const logs = (name: string) => join(out, name);
  const result = await trainOnline({
    policy,
    tokenizer,
    objective: getObjective('ppo'),
    objectiveOptions: { valueCoef: Number(given['critic-coef']) },
    prompts: train,
    rewards: [{ reward: normalised(reward, { by: { mean, deviation } }), madeOf: { mean, deviation } }],
    options: {
      steps: Number(given.steps),
      learningRate: Number(given['learning-rate']),
      schedule: 'constant',
      rolloutEpochs: Number(given.epochs),
      penalty: 'kl',
      penaltyCoef: Number(given['penalty-coef']),
      maxNewTokens,
      maxMinutes: Number(given.minutes),
      seed: Number(given.seed),
    },
    outFolder: out,
    loggers: [
      jsonl(logs('metrics.jsonl')),
      timing(logs('timing.jsonl')),
      rollouts(logs('rollouts.jsonl')),
      {
        name: 'progress',
        log: (event) => {
          if (event.type !== 'step' || event.step % 10 !== 0) return;
          const { reward, 'divergence/kl_exact': kl, entropy, explained_variance: ev } = event.metrics;
          console.error(
            `step ${event.step}: reward ${reward?.toFixed(2)} reference deviations, KL ${kl?.toFixed(1)} nats, entropy ${entropy?.toFixed(2)}, ev ${ev?.toFixed(2)}, ${((performance.now() - started) / 1e3) | 0} s`,
          );
        },
      },
    ],
  });
  const after = await sentiment(held);
  const a = momentsOfRewards(before.rewards);
  const b = momentsOfRewards(after.rewards);
  console.log(
    JSON.stringify(
      {
        given,
        steps: result.step,
        seconds: (performance.now() - started) / 1000,
        before: a,
        after: b,
        rise: (b.mean - a.mean) / a.deviation,
        peakRssMb: peakRssMb(),
        samples: after.texts.slice(0, 3),
      },
      null,
      1,
    ),
  );
}

interface Measured {
  readonly rewards: Float64Array;
  readonly texts: readonly string[];
}

/** Rewards of fresh completions. */
async function measure(
  policy: Policy,
  { prompts, reward, tokenizer }: { prompts: readonly OnlinePrompt[]; reward: Reward; tokenizer: Tokenizer },
): Promise<Measured> {
  const completions = await policy.sample({
    prompts: prompts.map(({ ids }) => ids),
    completions: measured,
    maxNewTokens,
    stop: tokenizer.eosTokens,
    seed: 1,
  });
  const rows = completions.map(({ prompt, ids, ended }) => ({
    prompt: prompts[prompt]!.text!,
    completion: tokenizer.decode(ids, { skipSpecialTokens: true }),
    ids,
    ended,
    meta: {},
  }));
  const { rewards } = await reward.judge(rows, { state: {} });
  return { rewards, texts: rows.map(({ prompt, completion }) => prompt + completion) };
}
