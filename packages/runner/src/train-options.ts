import { split, treeTokens } from '@kelpie/data';
import type { TokenTree } from '@kelpie/policy';
import { z } from 'zod';
import { scheduleNames } from './schedule.js';

const count = () => z.int().min(0);

/**
 * What a run is trained with, apart from the objective's own options: flags, config schema and tables come from here.
 * Every option has a default.
 */
export const trainOptions = z.strictObject({
  learningRate: z.number().min(0).default(5e-6).describe('Peak learning rate of AdamW.'),
  schedule: z.enum(scheduleNames).default('linear').describe('How the learning rate goes on after the warm-up.'),
  warmupSteps: count().default(0).describe('Steps in which the learning rate rises from 0 to its peak.'),
  batchSize: z.int().min(1).default(32).describe('Rows of one optimizer step: pairs, for preferences.'),
  microBatchTokens: z
    .int()
    .min(1)
    .optional()
    .describe(
      'Tokens computed at once at most, padding included and a prompt that completions share once; decides on memory, not on the result. Without it 4096, from 10 million parameters on 1024, or the longest row if that is more.',
    ),
  microBatchRows: z.int().min(1).optional().describe('Rows computed at once at most.'),
  epochs: z.int().min(1).default(1).describe('Passes over the data.'),
  maxSteps: z.int().min(1).optional().describe('Stops after this many steps; passes are added as needed.'),
  shuffle: z.boolean().default(true).describe('A new order of the rows each pass, from the seed.'),
  weightDecay: z.number().min(0).default(0).describe('Decoupled weight decay, times the learning rate.'),
  decay: z.enum(['matrices', 'all']).default('matrices').describe('What decays: `matrices` spares norms and biases.'),
  beta1: z.number().min(0).lt(1).default(0.9).describe("Decay of AdamW's first moment."),
  beta2: z.number().min(0).lt(1).default(0.999).describe("Decay of AdamW's second moment."),
  eps: z.number().positive().default(1e-8).describe("AdamW's epsilon."),
  maxGradNorm: z.number().min(0).default(1).describe('The gradient is clipped to this global L2 norm; 0: never.'),
  syncReferenceEvery: count()
    .default(0)
    .describe('Steps between moves of the reference towards the policy, as in TR-DPO; 0: it stands still.'),
  referenceMixture: z
    .number()
    .gt(0)
    .max(1)
    .default(0.6)
    .describe("The policy's share of the reference after such a move; 1 makes it the policy."),
  temperature: z.number().positive().default(1).describe('Divides the logits before any score is taken.'),
  entropy: z.boolean().default(true).describe('Logs the entropy of the next-token distribution: one more score.'),
  heldout: z
    .number()
    .min(0)
    .refine((rows) => rows < 1 || Number.isInteger(rows), 'expected a share below 1 or a whole number of rows from 1')
    .default(0.1)
    .describe('Rows held out: a share below 1, a number from 1, none at 0.'),
  evaluateEvery: count().default(0).describe('Steps between evaluations; 0: only before the first and after the last.'),
  saveEvery: count().default(0).describe('Steps between checkpoints; 0: only when the run is stopped.'),
  keepCheckpoints: z.int().min(1).default(2).describe('Checkpoints that are kept: the newest ones.'),
  samplePrompts: count().default(16).describe('Held-out prompts completed before and after training.'),
  sampleTokens: z.int().min(1).default(64).describe('Tokens of such a completion at most.'),
  seed: z.int().default(0).describe('Decides on the order of rows, on what is held out and on sampling.'),
});

export type TrainOptions = z.output<typeof trainOptions>;
export type TrainOptionsInput = z.input<typeof trainOptions>;

/** The options with a budget of tokens, where none was asked for: a large model computes as fast with few at once. */
export function withBudget(
  options: TrainOptions,
  { parameters }: { readonly parameters: number },
  examples: readonly { readonly tree: TokenTree }[],
): TrainOptions & { readonly microBatchTokens: number } {
  const { microBatchTokens = budgetOf(parameters, examples) } = options;
  return { ...options, microBatchTokens };
}

/** Tokens at once for a model of this size, but at least the longest row. */
export function budgetOf(parameters: number, examples: readonly { readonly tree: TokenTree }[]): number {
  const longest = examples.reduce((most, { tree }) => Math.max(most, treeTokens(tree)), 0);
  return Math.max(longest, parameters < 10e6 ? 4096 : 1024);
}

/** Options that change nothing about the result: a run may be resumed with others. */
export const looseOptions: readonly (keyof TrainOptions)[] = ['saveEvery', 'keepCheckpoints'];

/** Splits examples as the option `heldout` says. No prompt is on both sides. */
export function holdOut<Example extends { readonly prompt: string; readonly completion?: string }>(
  examples: readonly Example[],
  { heldout, seed }: Pick<TrainOptions, 'heldout' | 'seed'>,
): { readonly train: Example[]; readonly heldout: Example[] } {
  if (heldout === 0) return { train: [...examples], heldout: [] };
  const { train, heldOut } = split(examples, heldout < 1 ? { fraction: heldout, seed } : { count: heldout, seed });
  return { train, heldout: heldOut };
}
