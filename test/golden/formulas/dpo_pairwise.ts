import {
  aot,
  apoDown,
  apoZero,
  bcoPair,
  discopop,
  dpo,
  dpop,
  type Evaluation,
  exo,
  hinge,
  ipo,
  ldDpo,
  lnDpo,
  meanMetrics,
  nca,
  type Objective,
  type ObjectiveInput,
  robustDpo,
  rpo,
  sft,
  sppo,
  type Term,
  weighted,
  withoutReference,
  wpo,
} from '@kelpie/objectives';
import type { Inputs, Numbers, Outcome, Params, Variant, Variants } from './case.js';
import { reductionNames, reductions } from './means.js';
import { pairBatch, sidesOf } from './pair-batch.js';

/** The objective of a variant, with a case's options under our names. */
type Reader = (params: Params) => Omit<Term, 'weight'>;

const of =
  <Options extends object>(objective: Objective<Options>, read: (params: Params) => Partial<Options>): Reader =>
  (params) => ({ objective: objective as unknown as Objective, options: read(params) as Record<string, unknown> });

const beta = (params: Params) => ({ beta: params.number('beta') });
const smoothed = (params: Params, preset = 0) => ({
  ...beta(params),
  labelSmoothing: params.number('label_smoothing', preset),
});

const readers = {
  sigmoid: of(dpo, smoothed),
  robust: of(robustDpo, smoothed),
  hinge: of(hinge, beta),
  ipo_sum: of(ipo, (params) => ({ ...beta(params), average: 'sum' as const })),
  ipo_avg: of(ipo, (params) => ({ ...beta(params), average: 'mean' as const })),
  exo_pair: of(exo, (params) => smoothed(params, 1e-3)),
  nca_pair: of(nca, beta),
  bco_pair: of(bcoPair, (params) => ({ ...beta(params), delta: params.number('delta', 0) })),
  sppo_hard: of(sppo, beta),
  apo_zero: of(apoZero, beta),
  apo_down: of(apoDown, beta),
  discopop: of(discopop, (params) => ({ ...beta(params), tau: params.number('tau', 0.05) })),
  ln_dpo: of(lnDpo, smoothed),
  dpop: of(dpop, (params) => ({ ...beta(params), lambda: params.number('lambda') })),
  ld_dpo: of(ldDpo, (params) => ({ ...smoothed(params), alpha: params.number('ld_alpha') })),
  aot: of(aot, (params) => ({ ...smoothed(params), pairing: 'paired' as const })),
  aot_unpaired: of(aot, (params) => ({ ...smoothed(params), pairing: 'unpaired' as const })),
  wpo: of(wpo, (params) => ({
    ...smoothed(params),
    maxWeight: params.bound('clamp_max', 0),
  })),
  rpo_sq: of(rpo, (params) => rewarded(params, 'squared')),
  rpo_bwd_kl: of(rpo, (params) => rewarded(params, 'backward-kl')),
  rpo_fwd_kl: of(rpo, (params) => rewarded(params, 'forward-kl')),
} satisfies Readonly<Record<string, Reader>>;

const rewarded = (params: Params, form: 'squared' | 'backward-kl' | 'forward-kl') =>
  ({ ...beta(params), eta: params.number('eta', 1), form }) as const;

export const variants: Variants = {
  ...Object.fromEntries(Object.entries(readers).map(([name, read]) => [name, single(read)])),
  mix,
};

function single(read: Reader): Variant {
  return (inputs, params) => {
    const term = read(params);
    const free = params.flag('reference_free');
    const objective = free ? withoutReference(term) : term.objective;
    return outcome(inputs, objective.evaluate(pairsOf(inputs, params), free ? {} : term.options));
  };
}

/** The parts in the order of their weights. */
function mix(inputs: Inputs, params: Params): Outcome {
  const weights = Object.entries(params.get('weights') as Readonly<Record<string, number>>);
  const reduction = params.text('nll_reduction', reductionNames, 'token_mean');
  const known: Readonly<Record<string, Reader>> = {
    ...readers,
    nll: of(sft, () => ({ reduction: reductions[reduction] })),
  };
  const terms = weights.map(([name, weight]) => {
    const read = known[name];
    if (read === undefined) throw new Error(`no loss \`${name}\` to mix`);
    return { ...read(params), weight };
  });
  // Likelihood terms alone would make a sum on single rows.
  const objective = weighted([...terms, { ...readers.sigmoid(params), weight: 0 }]);
  const { loss, cotangents, details } = objective.evaluate(pairsOf(inputs, params));
  const parts = Object.fromEntries(weights.map(([name], term) => [name, details!.parts![term]!]));
  return { values: { loss, parts }, grads: pairBatch(inputs).sides(cotangents.logprobs!, 'logps') };
}

function pairsOf(inputs: Inputs, params: Params): ObjectiveInput {
  const gaps = params.get('given_reward_gap') as readonly (number | string)[] | undefined;
  return {
    ...pairBatch(inputs).input,
    ...(gaps && { perRow: { rewards: Float64Array.from(gaps.flatMap((gap) => [Number(gap), 0])) } }),
  };
}

function outcome(inputs: Inputs, { loss, metrics, cotangents, details = {} }: Evaluation): Outcome {
  const { losses, margins, implicitRewards, sequenceLogprobs, order, weights, tokenWeights } = details;
  return {
    values: {
      loss,
      ...(losses && (order ? { losses_sorted: losses, sort_index: order } : { losses })),
      ...(margins && { margins, accuracy: meanMetrics(metrics)['rewards/accuracies'] ?? 0 }),
      ...named('rewards', implicitRewards && sidesOf(implicitRewards)),
      ...named('seq_logps', sequenceLogprobs && sidesOf(sequenceLogprobs)),
      ...(weights && { weights }),
      ...(tokenWeights && tokenWeightsOf(inputs, tokenWeights)),
    },
    grads: pairBatch(inputs).sides(cotangents.logprobs!, 'logps'),
  };
}

function named(name: string, sides: ReturnType<typeof sidesOf> | undefined): Record<string, Numbers> {
  return sides ? { [`chosen_${name}`]: sides.chosen, [`rejected_${name}`]: sides.rejected } : {};
}

function tokenWeightsOf(inputs: Inputs, weights: Float64Array): Record<string, Numbers> {
  const { chosen_logps, rejected_logps } = pairBatch(inputs).sides(weights, 'logps');
  return { token_weights_chosen: chosen_logps!, token_weights_rejected: rejected_logps! };
}
