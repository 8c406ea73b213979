import {
  bestOfNExactly,
  fDpg,
  judgedPairs,
  nashMd,
  type ObjectiveInput,
  pullToLogits,
  scoresOfLogits,
  superhf,
  type TokenLogits,
  xpo,
} from '@kelpie/objectives';
import type { Inputs, Outcome, Params, Variants } from './case.js';
import { divergenceOf } from './fdivergence.js';
import { gridOf } from './policy-rows.js';
import { pairStack } from './stack.js';

/** A completion of the policy above one of the reference. */
function contests(inputs: Inputs) {
  const stack = pairStack(inputs, ['model_mask', 'ref_mask']);
  const { rows, tokens, completionMask } = stack;
  const input: ObjectiveInput = {
    rows,
    tokens,
    completionMask,
    policy: { logprobs: stack.tensor(['model_logps_on_model', 'model_logps_on_ref']) },
    reference: { logprobs: stack.tensor(['ref_logps_on_model', 'ref_logps_on_ref']) },
    perRow: { external: stack.marks(1) },
  };
  /** From [rows, tokens] in the order of a judge back to both sides. */
  const back = (values: Float64Array, order: Int32Array) => {
    const unjudged = new Float64Array(values.length);
    order.forEach((row, at) => {
      unjudged.set(values.subarray(at * tokens, (at + 1) * tokens), row * tokens);
    });
    return { model_logps_on_model: stack.part(unjudged, 0), model_logps_on_ref: stack.part(unjudged, 1) };
  };
  return { input, back };
}

const xpoLosses = ['sigmoid', 'ipo'] as const;

function xpoOf(inputs: Inputs, params: Params): Outcome {
  const { input, back } = contests(inputs);
  const judged = judgedPairs(input, inputs.numbers('model_wins'));
  const { loss, details, cotangents } = xpo.evaluate(judged.input, {
    beta: params.number('beta'),
    alpha: params.number('alpha', 1e-5),
    loss: params.text('loss', xpoLosses, 'sigmoid'),
  });
  return {
    values: { loss, dpo_losses: details!.losses!, xpo_losses: details!.explorationLosses! },
    grads: back(cotangents.logprobs!, judged.order),
  };
}

function nashMdOf(inputs: Inputs, params: Params): Outcome {
  const [rows, tokens] = inputs.shape('model_mask') as [number, number];
  const { loss, details, cotangents } = nashMd.evaluate(
    {
      rows,
      tokens,
      completionMask: inputs.mask('model_mask'),
      policy: { logprobs: inputs.numbers('model_logps_on_model') },
      reference: { logprobs: inputs.numbers('ref_logps_on_model') },
      perRow: { rewards: inputs.numbers('preference') },
    },
    { beta: params.number('beta'), klCredit: params.text('kl_credit', ['token', 'sequence'], 'token') },
  );
  return {
    values: { loss, kl: details!.kls! },
    grads: { model_logps_on_model: cotangents.logprobs! },
  };
}

/** Each sample as a completion of one token. */
function fDpgOf(inputs: Inputs, params: Params): Outcome {
  const [rows] = inputs.shape('policy_logps') as [number];
  const { loss, details, cotangents } = fDpg.evaluate(
    {
      rows,
      tokens: 1,
      completionMask: new Uint8Array(rows).fill(1),
      policy: { logprobs: inputs.numbers('policy_logps') },
      old: { logprobs: inputs.numbers('proposal_logps') },
      perRow: { targetLogScores: inputs.numbers('target_log_scores') },
    },
    {
      divergence: divergenceOf(params).name as typeof fDpg.defaults.divergence,
      alpha: params.number('alpha', 0.5),
      logZ: params.number('log_z', 0),
      baseline: params.number('baseline', 0),
    },
  );
  const { pseudoRewards, importances } = details as Record<'pseudoRewards' | 'importances', Float64Array>;
  return {
    values: { loss, pseudo_rewards: pseudoRewards, importance: importances },
    grads: { policy_logps: cotangents.logprobs! },
  };
}

/** Outcomes stand in the order of their rewards. */
function bestOfNOf(inputs: Inputs, params: Params): Outcome {
  const logprobs = inputs.numbers('p').map(Math.log);
  const rewards = logprobs.map((_, place) => place);
  const found = bestOfNExactly(logprobs, rewards, params.number('n'));
  return {
    values: {
      pmf: found.logprobs.map(Math.exp),
      kl: found.kl,
      kl_bound: found.klBound,
      win_rate_with_ties_half: found.winRate,
      win_rate_bound: found.winRateBound,
    },
  };
}

function superhfOf(inputs: Inputs, params: Params): Outcome {
  const logits: TokenLogits = {
    ...gridOf(inputs, 'logits'),
    vocabulary: inputs.shape('logits')[2]!,
    logits: inputs.numbers('logits'),
    referenceLogits: inputs.numbers('ref_logits'),
    ids: inputs.numbers('labels'),
  };
  const { loss, details, cotangents } = superhf.evaluate(
    { ...logits, policy: scoresOfLogits(logits, ['logprobs', 'forwardKl']) },
    { inversePenalty: params.number('inverse_penalty', 0), klCoef: params.number('kl_coef', 0) },
  );
  return {
    values: { loss, cross_entropy: details!.crossEntropy![0]!, row_kl: details!.rowKls! },
    grads: { logits: pullToLogits(logits, cotangents) },
  };
}

export const variants: Variants = {
  xpo: xpoOf,
  nash_md: nashMdOf,
  fdpg: fDpgOf,
  best_of_n: bestOfNOf,
  superhf: superhfOf,
};
