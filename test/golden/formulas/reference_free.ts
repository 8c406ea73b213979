import {
  alphaPo,
  cpo,
  type Evaluation,
  mapo,
  meanMetrics,
  type Objective,
  orpo,
  simpo,
  slic,
} from '@kelpie/objectives';
import type { Inputs, Outcome, Params, Variants } from './case.js';
import { reductionNames, reductions } from './means.js';
import { pairBatch, sidesOf } from './pair-batch.js';

const likelihood = (params: Params) => ({
  nllWeight: params.number('nll_weight', 0),
  nllReduction: reductions[params.text('nll_reduction', reductionNames, 'token_mean')],
});

function evaluate<Options extends object>(
  objective: Objective<Options>,
  options: Partial<Options>,
  inputs: Inputs,
  more: (details: Readonly<Record<string, Float64Array>>) => Outcome['values'] = () => ({}),
): Outcome {
  const { input, sides } = pairBatch(inputs);
  const evaluation = objective.evaluate(input, options);
  const { details = {}, cotangents } = evaluation;
  const averages = sidesOf(details.averageLogprobs!);
  return {
    values: {
      ...totalsOf(evaluation),
      losses: details.losses!,
      chosen_mean_logps: averages.chosen,
      rejected_mean_logps: averages.rejected,
      ...more(details),
    },
    grads: sides(cotangents.logprobs!, 'logps'),
  };
}

function totalsOf({ loss, metrics }: Evaluation): Outcome['values'] {
  const { preference_loss = 0, nll_loss, log_odds_ratio } = meanMetrics(metrics);
  return {
    loss,
    preference_loss,
    ...(nll_loss !== undefined && { nll: nll_loss }),
    ...(log_odds_ratio !== undefined && { log_odds_ratio_mean: log_odds_ratio }),
  };
}

const rewards = ({ implicitRewards }: Readonly<Record<string, Float64Array>>): Outcome['values'] => {
  const { chosen, rejected } = sidesOf(implicitRewards!);
  return { chosen_rewards: chosen, rejected_rewards: rejected };
};

const rewardsAndLogits = (details: Readonly<Record<string, Float64Array>>): Outcome['values'] => ({
  ...rewards(details),
  logits: details.margins!,
});

const lossOf = (params: Params) =>
  params.text('loss', ['sigmoid', 'hinge'], 'sigmoid') === 'hinge' ? 'hinge' : 'logistic';

export const variants: Variants = {
  simpo(inputs, params) {
    const shared = {
      beta: params.number('beta'),
      gammaBetaRatio: params.number('gamma_beta_ratio', 0),
      labelSmoothing: params.number('label_smoothing', 0),
      loss: lossOf(params),
      ...likelihood(params),
    } as const;
    const alpha = params.number('alpha', 0);
    return alpha === 0
      ? evaluate(simpo, shared, inputs, rewardsAndLogits)
      : evaluate(alphaPo, { ...shared, alpha }, inputs, rewardsAndLogits);
  },
  cpo: (inputs, params) =>
    evaluate(
      cpo,
      {
        beta: params.number('beta'),
        labelSmoothing: params.number('label_smoothing', 0),
        loss: lossOf(params),
        alpha: params.number('alpha', 0),
        ...likelihood(params),
      },
      inputs,
      rewardsAndLogits,
    ),
  orpo_odds_ratio: (inputs, params) =>
    evaluate(orpo, { beta: params.number('beta'), ...likelihood(params) }, inputs, (details) => ({
      ...rewards(details),
      log_odds: details.margins!,
    })),
  slic: (inputs, params) => evaluate(slic, { margin: params.number('margin'), ...likelihood(params) }, inputs),
  /** A loss is a row of one token with minus the loss as its logprob. */
  mapo(inputs, params) {
    const [chosen, rejected] = [inputs.numbers('chosen_losses'), inputs.numbers('rejected_losses')];
    const rows = 2 * chosen.length;
    const logprobs = Float64Array.from({ length: rows }, (_, row) => -(row % 2 === 0 ? chosen : rejected)[row >> 1]!);
    const input = { rows, tokens: 1, completionMask: new Uint8Array(rows).fill(1), policy: { logprobs } };
    const { loss, details, cotangents } = mapo.evaluate(input, {
      beta: params.number('beta'),
      snr: params.number('snr'),
      timesteps: params.number('timesteps'),
    });
    const scores = sidesOf(details!.scores!);
    const gradients = sidesOf(cotangents.logprobs!.map((slope) => -slope));
    return {
      values: { loss, scores_chosen: scores.chosen, scores_rejected: scores.rejected },
      grads: { chosen_losses: gradients.chosen, rejected_losses: gradients.rejected },
    };
  },
};
