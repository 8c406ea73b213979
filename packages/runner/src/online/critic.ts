import { aggregator, defineObjective, divisor, type Grid, type Objective, total, valueTerm } from '@kelpie/objectives';
import { KelpieError, type Policy } from '@kelpie/policy';
import { z } from 'zod';
import type { CriticTask } from './lessons.js';
import { momentsOf } from './metrics.js';

/**
 * Where the values of `gae` come from.
 *   none     nowhere
 *   beside   a scalar head of the policy, over the same trunk: the objective fits it along
 *   apart    a model of its own
 */
export type CriticPlace = 'none' | 'beside' | 'apart';

export function criticPlace({ policy, critic }: { readonly policy: Policy; readonly critic?: Policy }): CriticPlace {
  if (critic !== undefined) return 'apart';
  return policy.info.scalarHead === 'beside' ? 'beside' : 'none';
}

/**
 * What a critic apart from the policy descends: the value loss of PPO, mean over completion tokens.
 *   L = 0.5 max((V - R)², (clip(V, V_old ± valueClipRange) - R)²);   dL/dV = V - R, or 0 where the clipped branch is larger
 */
export const valueFit: Objective = defineObjective({
  name: 'value-fit',
  title: 'Value function',
  summary: 'Fits the values before each token to the returns from there.',
  paper: 'Schulman et al. 2017, arXiv:1707.06347',
  rows: 'single',
  separable: true,
  needs: { policy: ['values'], reference: [], old: ['values'], perToken: ['returns'] },
  options: {
    valueClipRange: z.number().min(0).default(0.2).describe('How far a value may move from the old one and be fitted.'),
  },
  evaluate: (input, { valueClipRange }) =>
    valueTerm(input, { valueCoef: 1, valueClipRange }, aggregator(input, { aggregation: 'tokens' })),
}) as unknown as Objective;

/** A critic apart, and how it is fitted: values are clipped as the objective's own would be. */
export function criticTask(
  critic: Policy,
  { valueClipRange }: Readonly<Record<string, unknown>> = {},
  learningRate: number,
): CriticTask {
  const objectiveOptions = valueClipRange === undefined ? {} : { valueClipRange };
  return { task: { policy: critic, objective: valueFit, objectiveOptions }, learningRate };
}

interface CriticUse {
  readonly place: CriticPlace;
  readonly objective: Objective;
  /** As the policy descends it: without values where the critic is apart. */
  readonly objectiveOptions: Readonly<Record<string, unknown>>;
  /** Whether advantages are made with values. */
  readonly valued: boolean;
  readonly critic?: Policy;
  readonly policy: Policy;
}

/** Refuses a run that would read values nobody gives, or fit none, or keep a critic nobody asks. */
export function requireCritic({ place, objective, objectiveOptions, valued, critic, policy }: CriticUse): void {
  const refuse = (message: string, option: string) => {
    throw new KelpieError(message, { code: 'bad-option', where: { option } });
  };
  const { name, needsOf } = objective;
  const needs = needsOf(objectiveOptions);
  const fits = needs.policy.some((score) => score === 'values');
  const open = "open the policy with `scalarHead: 'beside'`, or give a `critic`";
  if (fits && place === 'none') {
    refuse(`the objective \`${name}\` fits values: ${open}, or set \`valueCoef\` to 0`, 'valueCoef');
  }
  if (fits && !valued)
    refuse(`the objective \`${name}\` fits values, whose returns come of \`gae\` alone`, 'advantage');
  if (valued && place === 'none') refuse(`the advantage \`gae\` reads values: ${open}`, 'advantage');
  if (valued && place === 'beside' && !fits) {
    refuse(
      `the advantage \`gae\` reads values, and the objective \`${name}\` fits none under its options: take \`ppo\` with \`valueCoef\` above 0, or give a \`critic\``,
      'advantage',
    );
  }
  if (place !== 'apart') return;
  if (!valued) refuse('a `critic` is given, which only the advantage `gae` reads', 'advantage');
  if (!needs.perToken?.includes('advantages')) {
    refuse(`a \`critic\` is given, and the objective \`${name}\` reads no advantages`, 'critic');
  }
  const { scalarHead, vocabularySize, contextLength } = critic!.info;
  if (scalarHead !== 'alone') {
    const got = scalarHead === undefined ? 'no scalar head' : 'one beside its language head';
    refuse(`expected a critic opened with \`scalarHead: 'alone'\`, got ${got}`, 'critic');
  }
  const own = policy.info;
  if (vocabularySize < own.vocabularySize || contextLength < own.contextLength) {
    refuse(
      `the critic knows ${vocabularySize} tokens and a context of ${contextLength}, the policy ${own.vocabularySize} and ${own.contextLength}: take a critic of the policy's tokenizer and at least its context`,
      'critic',
    );
  }
}

/**
 * How good the values were, over the tokens of judged completions, before anything is learnt from them.
 *   explained_variance   1 - Var(returns - values)/Var(returns): 1 foretold, 0 no better than a constant, below 0 worse;
 *                        absent where returns do not vary
 *   values/mean, returns/mean, returns/std   in units of the reward
 */
export function valueMetrics(
  { completionMask }: Pick<Grid, 'completionMask'>,
  { values, returns }: { readonly values: Float64Array; readonly returns: Float64Array },
): Readonly<Record<string, number>> {
  const on = (numbers: Float64Array) => numbers.filter((_, at) => completionMask[at]);
  const [told, earned] = [on(values), on(returns)];
  const error = momentsOf(earned.map((value, at) => value - told[at]!)).deviation;
  const { mean, deviation } = momentsOf(earned);
  return {
    ...(deviation > 0 && { explained_variance: 1 - (error / deviation) ** 2 }),
    'values/mean': total(told) / divisor(told.length),
    'returns/mean': mean,
    'returns/std': deviation,
  };
}
