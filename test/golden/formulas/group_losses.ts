import {
  bnpo,
  cispo,
  dapo,
  dphRl,
  drGrpo,
  type Evaluation,
  erc,
  gmpo,
  grpo,
  gspo,
  gvpo,
  type ObjectiveInput,
  ratioOf,
  rloo,
  rowLogRatios,
  rowMeans,
} from '@kelpie/objectives';
import type { Inputs, Numbers, Outcome, Params, Variant, Variants } from './case.js';
import { meansOf, policyRows } from './policy-rows.js';
import { groupsOf } from './stack.js';

function outcome({ loss, cotangents }: Evaluation, values: Readonly<Record<string, Numbers>>): Outcome {
  return { values: { loss, ...values }, grads: { logps: cotangents.logprobs! } };
}

const clipOf = (params: Params) => ({
  ...(params.has('clip_low') && { clipRangeLow: params.bound('clip_low') }),
  ...(params.has('clip_high') && { clipRangeHigh: params.bound('clip_high') }),
});

const tokenClipOf = (params: Params) => ({
  clipRangeLow: params.bound('clip_low', 0.2),
  clipRangeHigh: params.bound('clip_high', 0.2),
  dualClip: params.bound('dual_clip', 0),
  ratioCap: params.bound('delta', 0),
  beta: params.number('beta', 0),
});

/** Losses with a ratio a token. */
const tokenLevel =
  (evaluate: (input: ObjectiveInput, options: ReturnType<typeof tokenClipOf>, params: Params) => Evaluation): Variant =>
  (inputs, params) => {
    const evaluation = evaluate(policyRows(inputs), tokenClipOf(params), params);
    const mean = meansOf(evaluation.metrics);
    return outcome(evaluation, {
      kl: mean('kl'),
      clip_low_fraction: mean('clip_ratio/low_mean'),
      clip_high_fraction: mean('clip_ratio/high_mean'),
    });
  };

/** Losses with a ratio a completion. */
const sequenceLevel =
  (importance: 'row-mean' | 'row-sum', evaluate: (input: ObjectiveInput, params: Params) => Evaluation): Variant =>
  (inputs, params) => {
    const input = policyRows(inputs);
    const evaluation = evaluate(input, params);
    const logs = rowLogRatios(input, input.policy.logprobs!, input.old!.logprobs!, importance);
    return outcome(evaluation, {
      sequence_ratio: logs.map((log) => ratioOf(log).ratio),
      losses: rowMeans(input, evaluation.details!.losses!),
    });
  };

function groupRows(inputs: Inputs, params: Params): ObjectiveInput {
  const input = policyRows(inputs);
  return { ...input, perRow: { ...input.perRow, groups: groupsOf(input.rows, params.number('group_size')) } };
}

const generators = { forward_kl: 'forward-kl', js: 'js', alpha: 'alpha' } as const;
const generatorNames = Object.keys(generators) as (keyof typeof generators)[];

export const variants: Variants = {
  grpo: tokenLevel((input, options) => grpo.evaluate(input, options)),
  bnpo: tokenLevel((input, options) => bnpo.evaluate(input, options)),
  dapo: tokenLevel((input, options) => dapo.evaluate(input, options)),
  dr_grpo: tokenLevel((input, options, params) =>
    drGrpo.evaluate(input, { ...options, tokenBudget: params.number('max_tokens') }),
  ),
  gspo: sequenceLevel('row-mean', (input, params) => gspo.evaluate(input, clipOf(params))),
  rloo_sequence: sequenceLevel('row-sum', (input, params) => rloo.evaluate(input, clipOf(params))),
  cispo: (inputs, params) => {
    const evaluation = cispo.evaluate(policyRows(inputs), {
      ratioMin: params.bound('ratio_min', 0),
      ratioMax: params.bound('ratio_max'),
    });
    return outcome(evaluation, { weights: evaluation.details!.weights! });
  },
  gmpo: (inputs, params) => {
    const evaluation = gmpo.evaluate(policyRows(inputs), {
      clipLogRatioLow: params.bound('clip_low', 0.4),
      clipLogRatioHigh: params.bound('clip_high', 0.4),
    });
    const { sequenceRatios, losses } = evaluation.details as Record<'sequenceRatios' | 'losses', Float64Array>;
    return outcome(evaluation, { sequence_ratio: sequenceRatios, losses });
  },
  gvpo: (inputs, params) => {
    const evaluation = gvpo.evaluate(groupRows(inputs, params), { beta: params.number('beta', 0.1) });
    return outcome(evaluation, { residuals: evaluation.details!.residuals! });
  },
  entropy_ratio_clip: (inputs, params) => {
    const evaluation = erc.evaluate(policyRows(inputs), {
      ...clipOf(params),
      ...(params.has('dual_clip') && { dualClip: params.bound('dual_clip') }),
      entropyRatioLow: params.number('entropy_ratio_low', 0.95),
      entropyRatioHigh: params.number('entropy_ratio_high', 1.05),
    });
    return outcome(evaluation, { kept_fraction: meansOf(evaluation.metrics)('erc/kept_fraction') });
  },
  rehearsal: (inputs, params) => {
    const evaluation = dphRl.evaluate(policyRows(inputs, 'old_logps'), {
      generator: generators[params.text('generator', generatorNames)],
      alpha: params.number('alpha', 0.2),
      coef: params.number('coef'),
    });
    return outcome(evaluation, { per_token: evaluation.details!.divergence! });
  },
};
