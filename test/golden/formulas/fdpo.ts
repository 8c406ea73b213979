import { chiPo, fDpo, isLink, marginThrough, meanMetrics, type Objective } from '@kelpie/objectives';
import type { Variants } from './case.js';
import { divergenceOf } from './fdivergence.js';
import { pairBatch } from './pair-batch.js';

/** Above whatever there is: no bound. */
const none = Number.POSITIVE_INFINITY;
const finite = (bound: number) => Math.min(bound, Number.MAX_VALUE);

export const variants: Variants = {
  fdpo(inputs, params) {
    const { input, sides, chosen, rejected } = pairBatch(inputs);
    const divergence = divergenceOf(params);
    const options = {
      beta: params.number('beta'),
      labelSmoothing: params.number('label_smoothing', 0),
      exponentCap: finite(params.number('exp_cap', none)),
    };
    // What is no link has the bare loss alone.
    const { loss, details, cotangents } = isLink(divergence)
      ? (fDpo as Objective).evaluate(input, { ...options, divergence: divergence.name, alpha: params.get('alpha') })
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
    const { loss, details, metrics, cotangents } = chiPo.evaluate(input, {
      beta: params.number('beta'),
      chi2Weight: params.number('chi2_weight', 1),
      klWeight: params.number('kl_weight', 1),
      clip: finite(params.number('clip', none)),
      exponentCap: finite(params.number('exp_cap', none)),
      loggedRewards: 'logratio',
    });
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
