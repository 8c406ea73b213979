import { type EnumerableWorld, gridOf, pullback, scoresOf, type TablePolicy } from '../../enumerable/index.js';
import { sigmoid } from '../../numerics.js';
import type { Objective } from '../../objective.js';
import type { Random } from '../../testing/random.js';

/** Completions of the reference in pairs, the preferred one first, as a judge after Bradley and Terry would have it. */
export function samplePairs({ reference, rewards }: EnumerableWorld, pairs: number, random: Random): Int32Array {
  const draw = drawFrom(reference, random);
  return Int32Array.from(
    Array.from({ length: pairs }, () => {
      const [a, b] = [draw(), draw()];
      return random() < sigmoid(rewards[a]! - rewards[b]!) ? [a, b] : [b, a];
    }).flat(),
  );
}

function drawFrom(logprobs: Float64Array, random: Random): () => number {
  let sum = 0;
  const upTo = logprobs.map((logprob) => {
    sum += Math.exp(logprob);
    return sum;
  });
  return () => {
    const point = random() * sum;
    return Math.max(
      0,
      upTo.findIndex((edge) => edge >= point),
    );
  };
}

export interface Run {
  readonly objective: Objective;
  readonly options?: Readonly<Record<string, unknown>>;
  readonly world: EnumerableWorld;
  /** Completion of each row. */
  readonly rows: Int32Array;
  readonly steps: number;
  readonly learningRate: number;
}

/** Gradient descent on the logits, over all rows at every step, from the reference. */
export function descend({ objective, options, world, rows, steps, learningRate }: Run): TablePolicy {
  const { space, referencePolicy } = world;
  const needs = objective.needsOf(options);
  const grid = gridOf(space, rows);
  const reference = scoresOf(referencePolicy, rows, needs.reference);
  let policy = referencePolicy;
  for (let step = 0; step < steps; step++) {
    const scores = scoresOf(policy, rows, needs.policy, referencePolicy);
    const { cotangents } = objective.evaluate({ ...grid, policy: scores, reference }, options);
    const { logits } = pullback(policy, rows, cotangents, referencePolicy);
    policy = { space, logits: policy.logits.map((logit, at) => logit - learningRate * logits[at]!) };
  }
  return policy;
}
