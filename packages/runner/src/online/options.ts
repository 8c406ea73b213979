import { klEstimators } from '@kelpie/objectives';
import { z } from 'zod';
import { trainOptions } from '../train-options.js';
import { advantageNames } from './advantages.js';
import { controllerNames } from './controllers.js';
import { penaltyNames } from './penalties.js';
import { takes } from './take.js';
import { readings } from './win-rates.js';

const shared = trainOptions.omit({ batchSize: true, epochs: true, maxSteps: true, heldout: true, samplePrompts: true });
const count = () => z.int().min(1);

/** What an online run is trained with, apart from the objective's own options. Every option has a default. */
export const onlineOptions = shared.omit({ sampleTokens: true, evaluateEvery: true }).extend({
  steps: count().default(100).describe('Rollouts are drawn and learnt from so many times.'),
  promptsPerStep: count().default(8).describe('Prompts of one step.'),
  completions: count().default(8).describe('Completions of each prompt: a group.'),
  maxNewTokens: count().default(64).describe('Tokens of a completion at most.'),
  rolloutEpochs: count().default(1).describe('Passes over the rollouts of a step.'),
  miniBatches: count().default(1).describe('Updates of one pass: the groups of a step are dealt out among them.'),
  advantage: z
    .enum(advantageNames)
    .optional()
    .describe("How rewards become advantages. Without it the objective's own: see `usualAdvantage`."),
  take: z
    .enum(takes)
    .optional()
    .describe('Which completions of a group are learnt from. Without it what the objective is on: all, best, pairs.'),
  rewardsAs: z
    .enum(readings)
    .optional()
    .describe(
      'What an objective without advantages reads: rewards, or the share of its group that a completion wins against. Without it the latter for nash-md.',
    ),
  targetBeta: z
    .number()
    .positive()
    .default(0.1)
    .describe('Of objectives with a target, f-dpg: it is the reference times e to the reward over this.'),
  dynamicSampling: z
    .int()
    .min(0)
    .default(0)
    .describe('Groups whose rewards are all equal are given up for other prompts, at most so many times a step: DAPO.'),
  topK: count().optional().describe('Completions are drawn from the k likeliest tokens; ratios and scores stay whole.'),
  topP: z
    .number()
    .gt(0)
    .max(1)
    .optional()
    .describe('Completions are drawn from the likeliest tokens that hold this share.'),
  minP: z
    .number()
    .min(0)
    .max(1)
    .optional()
    .describe('Completions are drawn from tokens at least this share as likely as the likeliest.'),
  penalty: z.enum(penaltyNames).default('none').describe('The divergence from the reference that is held down.'),
  penaltyIn: z
    .enum(['reward', 'loss', 'both'])
    .default('reward')
    .describe('Taken off the reward, a term of the loss with a gradient of its own, or, of `exact-...`, both.'),
  penaltyParameter: z
    .number()
    .gt(0)
    .lt(1)
    .default(0.5)
    .describe('The number of `exact-alpha`, `exact-jsd` and the skewed KLs, as the policy names them: `alpha(0.5)`.'),
  penaltyCoef: z
    .number()
    .min(0)
    .default(0.05)
    .describe(
      'Weight of the penalty. In units of the reward a nat, but for `occupancy-...` and `pathwise-...` in the loss: these are of whole completions, averaged over completions however the objective averages tokens.',
    ),
  klEstimator: z
    .enum(klEstimators)
    .optional()
    .describe(
      "How the KL of a token is estimated: its value counts in a reward, its slope in a loss, where that of k1 is 0 on average. Without it k1 in a reward; in a loss the objective's own if given, else k2.",
    ),
  occupancyClip: z.number().positive().max(300).default(10).describe('log of the ratio at which χ² grows no more.'),
  controller: z.enum(controllerNames).default('fixed').describe('How the weight of the penalty goes on.'),
  penaltyTarget: z.number().positive().default(6).describe('KL of a completion that a controller holds, in nats.'),
  penaltyHorizon: z.number().positive().default(10_000).describe('Completions in which `adaptive` corrects.'),
  rewardClip: z.number().positive().optional().describe('The weighted sum of rewards is held to ± this.'),
  missingEos: z.number().optional().describe('Taken off the reward of a completion that was cut off.'),
  gamma: z.number().min(0).max(1).default(1).describe('Discount a token, where advantages are per token.'),
  gaeLambda: z
    .number()
    .min(0)
    .max(1)
    .default(0.95)
    .describe('Of `gae`: 0 trusts the values of a critic, 1 the rewards.'),
  whiten: z
    .boolean()
    .optional()
    .describe(
      'Advantages of a step are brought to mean 0 and deviation 1. Without it with `gae` and `reinforce++`, always with the latter.',
    ),
  criticLearningRate: z
    .number()
    .positive()
    .optional()
    .describe("Of a critic apart from the policy. Without it the policy's."),
  divergence: z
    .boolean()
    .default(true)
    .describe('Measures the exact divergences of each step: passes over the whole vocabulary.'),
  maxDivergence: z
    .number()
    .positive()
    .optional()
    .describe('The run ends where the KL of a completion goes beyond this, in nats.'),
  maxMinutes: z.number().positive().optional().describe('The run ends behind the step that reaches this time.'),
  evaluateEvery: z.int().min(0).default(0).describe('Steps between evaluations; 0: before the first, after the last.'),
  evaluatePrompts: count().default(64).describe('Held-out prompts that are completed in an evaluation, at most.'),
  keepRollouts: z.boolean().default(true).describe('Writes every completion into `rollouts.jsonl`.'),
});

export type OnlineOptions = z.output<typeof onlineOptions>;
export type OnlineOptionsInput = z.input<typeof onlineOptions>;

/** Options that change nothing about the weights: a run may be resumed with others; `divergence` with a fixed weight of the penalty. */
export const looseOnlineOptions: readonly (keyof OnlineOptions)[] = [
  ...(['saveEvery', 'keepCheckpoints', 'evaluateEvery', 'evaluatePrompts', 'keepRollouts'] as const),
  ...(['maxMinutes', 'maxDivergence', 'divergence'] as const),
];
