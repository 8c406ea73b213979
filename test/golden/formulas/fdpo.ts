import {
  chiPo,
  fDpo,
  isLink,
  marginThrough,
  marginThroughTransform,
  meanMetrics,
  type Objective,
  ratioTransform,
} from '@kelpie/objectives';
import type { Variants } from './case.js';
import { divergenceOf } from './fdivergence.js';
import { pairBatch } from './pair-batch.js';

/** Above whatever there is: no bound. */
const none = Number.POSITIVE_INFINITY;

export const variants: Variants = {
  fdpo(inputs, params) {
    const { input, sides, chosen, rejected } = pairBatch(inputs);
    const divergence = divergenceOf(params);
    const options = {
      beta: params.number('beta'),
      labelSmoothing: params.number('label_smoothing', 0),
      exponentCap: params.bound('exp_cap', none),
    };
    // What is no link has the bare loss alone.
    const { loss, details, cotangents } = isLink(divergence)
      ? (fDpo as Objective).evaluate(input, {
          ...options,
          divergence: divergence.name,
          alpha: params.number('alpha', 0.5),
        })
      : marginThrough(divergence).evaluate(input, options);
    return {
      values: {
        loss,
        losses: details!.losses!,
        logits: details!.logits!,
        chosen_scores: chosen(details!.scores!),
        rejected_scores: rejected(details!.scores!),
        chosen_rewards: chosen(details!.implicitRewards!),
        rejected_rewards: rejected(details!.implicitRewards!),
      },
      grads: sides(cotangents.logprobs!, 'logps'),
    };
  },
  chipo(inputs, params) {
    const { input, sides, chosen, rejected } = pairBatch(inputs);
    const options = {
      beta: params.number('beta'),
      clip: params.bound('clip', none),
      loggedRewards: 'logratio',
    } as const;
    const link = {
      chi2Weight: params.number('chi2_weight', 1),
      klWeight: params.number('kl_weight', 1),
      exponentCap: params.bound('exp_cap', none),
    };
    // Without a KL part it is no link.
    const { loss, details, metrics, cotangents } =
      link.klWeight > 0
        ? chiPo.evaluate(input, { ...options, ...link })
        : marginThroughTransform(ratioTransform(link)).evaluate(input, options);
    return {
      values: {
        loss,
        losses: details!.losses!,
        chosen_seq_logps: chosen(details!.sequenceLogprobs!),
        rejected_seq_logps: rejected(details!.sequenceLogprobs!),
        chosen_rewards: chosen(details!.implicitRewards!),
        rejected_rewards: rejected(details!.implicitRewards!),
        margins: details!.margins!,
        accuracy: meanMetrics(metrics)['rewards/accuracies']!,
      },
      grads: sides(cotangents.logprobs!, 'logps'),
    };
  },
};
