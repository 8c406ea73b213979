import { LARGEST_EXPONENT, ppo } from '@kelpie/objectives';
import type { Params, Variants } from './case.js';
import { aggregateNames, aggregations } from './means.js';
import { estimatorOf, meansOf, policyRows } from './policy-rows.js';

function optionsOf(params: Params) {
  return {
    clipRangeLow: params.bound('clip_low', 0.2),
    clipRangeHigh: params.bound('clip_high', 0.2),
    dualClip: params.bound('dual_clip', 0),
    ...(params.has('log_ratio_clamp') && {
      logRatioClamp: params.bound('log_ratio_clamp', undefined, LARGEST_EXPONENT),
    }),
    valueCoef: params.number('vf_coef', 0),
    valueClipRange: params.bound('value_clip', 0),
    entropyCoef: params.number('entropy_coef', 0),
    beta: params.number('kl_coef', 0),
    ...estimatorOf(params, 'kl_estimator', 'k3'),
    aggregation: aggregations[params.text('aggregate', aggregateNames, 'token_mean')],
    countEmptyRows: params.flag('count_empty_rows', true),
    ...(params.has('scale') && { tokenBudget: params.number('scale') }),
  };
}

export const variants: Variants = {
  ppo: (inputs, params) => {
    const options = optionsOf(params);
    const { loss, metrics, cotangents } = ppo.evaluate(policyRows(inputs), options);
    const mean = meansOf(metrics);
    return {
      values: {
        loss,
        policy_loss: mean('loss/policy_avg'),
        clip_fraction: mean('policy/clipfrac_avg'),
        ratio_mean: mean('val/ratio'),
        approx_kl_k1: mean('policy/approxkl_k1'),
        approx_kl_k2: mean('policy/approxkl_avg'),
        approx_kl_k3: mean('policy/approxkl_k3'),
        ...(options.dualClip > 0 && { dual_clip_fraction: mean('clip_ratio/dual_mean') }),
        ...(options.valueCoef > 0 && { value_loss: mean('loss/value_avg') }),
        ...(options.valueCoef > 0 && options.valueClipRange > 0 && { value_clip_fraction: mean('val/clipfrac_avg') }),
        ...(options.entropyCoef > 0 && { entropy: mean('loss/entropy_avg') }),
        ...(options.beta > 0 && { kl: mean('loss/kl_avg') }),
      },
      grads: {
        logps: cotangents.logprobs!,
        ...(cotangents.values && { values: cotangents.values }),
        ...(cotangents.entropy && { entropy: cotangents.entropy }),
      },
    };
  },
};
