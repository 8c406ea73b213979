import { metricsOf } from './metric.js';

const side = (which: string, healthy: string, failure: string) =>
  [
    `Implicit reward of ${which} completions, beta times their log-ratio to the reference; of a reward model, its value.`,
    'reward',
    healthy,
    failure,
  ] as const;

export const preferences = metricsOf({
  'rewards/chosen': side(
    'chosen',
    'near 0 at the start, then rising, or falling less than that of rejected ones',
    'falls steeply: the policy moves away from good completions too; add `nllWeight`, or raise beta',
  ),
  'rewards/rejected': side(
    'rejected',
    'near 0 at the start, then falling',
    'falls far below what chosen ones gain: likelihood goes to neither; lower the learning rate or raise beta',
  ),
  'rewards/margins': [
    'Reward of the chosen completion less that of the rejected one, mean over pairs.',
    'reward',
    'grows from 0; held out it levels off',
    'keeps growing while the held-out one stands still: the pairs are being learnt by heart',
  ],
  'rewards/accuracies': [
    'Share of pairs whose chosen completion has the higher reward; equal rewards count as wrong.',
    'share, 0 to 1',
    '0.6 to 0.8 on human labels; higher where labels follow a rule',
    '0.5 throughout: nothing is learnt; 1.0 in training and less held out: overfitting. At step 1 it means nothing: all rewards are 0',
  ],
  'rewards/implicit': [
    "beta times the completion's log-ratio to the reference, mean over completions.",
    'reward',
    'moves slowly away from 0',
    'runs off in one direction while rewards do not: the policy leaves the reference for nothing',
  ],
  'calibration/ece': [
    'Expected calibration error of what judges held-out pairs: how far its confidence is from how often it is right.',
    'share, 0 to 1',
    'below 0.1',
    'grows as accuracy stands still: too sure of itself; train fewer passes, or on more pairs',
  ],
  'logps/chosen': [
    'Log-probability of chosen completions, summed over tokens, mean over rows.',
    'nats a completion',
    'rises, or falls a little',
    'falls by tens of nats: chosen completions become unlikely too, as under `rewards/chosen`',
  ],
  'logps/rejected': [
    'Log-probability of rejected completions, summed over tokens, mean over rows.',
    'nats a completion',
    'falls',
    'falls without end: raise beta, or add a term that holds the chosen side',
  ],
  logps: [
    'Log-probability of the completions, summed over tokens, mean over rows.',
    'nats a completion',
    'rises',
    'falls: the learning rate is too high',
  ],
  mean_token_logprob: [
    'Log-probability of a scored token, mean over tokens.',
    'nats a token',
    'rises; minus its exponent is the perplexity',
    'stands still: the learning rate is too low, or the wrong tokens are scored',
  ],
  kl: [
    'What the objective takes as its KL from the reference: a batch estimate in KTO, a sampled one in policy gradients.',
    'nats',
    'small and growing slowly',
    'runs away: raise beta or the weight of the penalty',
  ],
  'kl/chosen': [
    'KL(reference ‖ policy) summed along chosen completions, mean over pairs.',
    'nats a completion',
    'grows slowly, close to `kl/rejected`',
    'far above `kl/rejected`: the policy forgets chosen completions first',
  ],
  'kl/rejected': [
    'KL(reference ‖ policy) summed along rejected completions, mean over pairs.',
    'nats a completion',
    'grows slowly',
    'far above `kl/chosen`: what TDPO holds down; raise its weight',
  ],
  'kl/weighted': [
    'Divergence along completions, each token by its weight.',
    'nats a completion',
    'grows slowly',
    'near 0 throughout: nothing is held, look at the weights',
  ],
  nll_loss: [
    'Cross-entropy of chosen completions, mean as the objective takes it.',
    'nats',
    'falls or stands still',
    'rises: preferences push chosen completions down; raise the weight of this term',
  ],
  preference_loss: [
    "The objective's loss on preferences, without its other terms.",
    "the objective's own",
    'falls and levels off',
    'falls while `nll_loss` rises: preferences are won by forgetting how to write',
  ],
  ranking_loss: [
    'Loss of the order among candidates, without the other terms.',
    "the objective's own",
    'falls',
    'stands still: candidates hardly differ, or the margin is too large',
  ],
  log_odds_chosen: [
    'log-odds of the chosen completion less those of the rejected one (ORPO).',
    'nats',
    'rises',
    'stands at 0: the weight of the odds is too small',
  ],
  log_odds_ratio: [
    'log σ of that difference: what ORPO adds to the cross-entropy.',
    'nats',
    'rises towards 0',
    'stands at -0.69: nothing is preferred',
  ],
  delta: [
    'Running mean of rewards, which BCO takes off all of them.',
    'reward',
    'settles within some steps',
    'keeps drifting: rewards of all rows move together, the classes are not told apart',
  ],
});
