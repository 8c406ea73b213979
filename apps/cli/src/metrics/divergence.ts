import { metricsOf } from './metric.js';

export const divergence = metricsOf({
  'divergence/kl_exact': [
    'KL(policy ‖ reference) summed over the tokens of a completion that the policy drew, the whole vocabulary at each token.',
    'nats a completion',
    '0 at step 0, then growing by less the longer the run; most useful tuning costs less than 15',
    'grows without a gain in reward: the policy drifts, raise the penalty or lower the learning rate; far above 30: look for gaming',
  ],
  'divergence/forward_kl': [
    'KL(reference ‖ policy) summed likewise: what the policy no longer covers.',
    'nats a completion',
    'of the size of `divergence/kl_exact`',
    'far above it: whole kinds of completions were given up, see `entropy` and lengths',
  ],
  'divergence/kl_k1': [
    'Mean log-ratio of completions: KL(policy ‖ reference) from samples, without bias.',
    'nats a completion',
    'around `divergence/kl_exact`, with noise; may be below 0',
    'far from the exact one in mean: too few completions, or sampling is not at temperature 1',
  ],
  'divergence/kl_k3': [
    'Mean of e^-r - 1 + r over completions, r the log-ratio: never negative, without bias.',
    'nats a completion',
    'around `divergence/kl_exact` while that is small',
    'jumps by orders: single completions that the reference likes far more; read the exact one',
  ],
  'divergence/chi2': [
    'Mean of e^r + e^-r - 2: χ²(policy ‖ reference) from samples.',
    'no unit',
    'close to twice the KL while that is small',
    'huge in single steps: a tail that a few completions make; a chi-squared penalty acts on just these',
  ],
  divergence: [
    'The divergence that the objective descends or holds, mean over tokens.',
    'nats a token',
    'falls where it is descended, grows slowly where it is held',
    'the opposite of that',
  ],
  'penalty/coefficient': [
    'Weight of the penalty, as the controller has it.',
    'reward a nat',
    'constant if fixed; else settles',
    'climbs without end: the target cannot be held at this learning rate; sinks to 0: the target is never reached',
  ],
  'objective/kl': [
    'As TRL logs it: log-ratio of policy and reference summed over a completion, mean (k1).',
    'nats a completion',
    'as `divergence/kl_k1`',
    'clearly below 0: log-probabilities of two models or temperatures were mixed',
  ],
  'occupancy/kl': [
    'KL between the occupancies of policy and reference, as the authors estimate it.',
    'nats',
    'grows slowly',
    'runs away: raise the weight',
  ],
  'occupancy/chi2': [
    'χ² between the occupancies of policy and reference, as the authors estimate it.',
    'no unit',
    'grows slowly; near 0 at the start',
    'jumps: single ratios dominate, see the clipped share',
  ],
  'occupancy/divergence': [
    'The divergence of occupancies that the objective holds down.',
    "the divergence's own",
    'near 0 at the start, then settling',
    'keeps growing: raise the weight',
  ],
  'occupancy/clipped_fraction': [
    'Share of tokens whose ratio was held at its bound.',
    'share, 0 to 1',
    'near 0',
    'above 0.1: the estimate is made of bounds; the policy is too far for it',
  ],
  'occupancy/ratio_clip_fraction': [
    'Share of ratios policy by reference that were held at their bound.',
    'share, 0 to 1',
    'near 0',
    'above 0.1: raise the bound or the weight',
  ],
  'occupancy/inverse_ratio_clip_fraction': [
    'Share of ratios reference by policy that were held at their bound.',
    'share, 0 to 1',
    'near 0',
    'above 0.1: raise the bound or the weight',
  ],
  'kl/clamped_fraction': [
    'Share of tokens whose log-ratio in the KL term was held at its bound.',
    'share, 0 to 1',
    '0, or nearly',
    'above 0.01: policy and reference are too far apart for the estimator',
  ],
  'kl/clampedFraction': [
    'Share of completions whose log-ratio in the KL term was held at its bound.',
    'share, 0 to 1',
    '0, or nearly',
    'above 0.01: policy and reference are too far apart for the estimator',
  ],
});
