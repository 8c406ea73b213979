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
import { gridOf } from './policy-rows.js';

const sides = ['model', 'ref'] as const;

/** A completion of the policy and one of the reference in turns, the narrower ones widened by 0. */
function contests(inputs: Inputs) {
  const [pairs] = inputs.shape('model_mask') as [number];
  const widths = sides.map((side) => inputs.shape(`${side}_mask`)[1]!);
  const tokens = Math.max(...widths);
  const from = (row: number) => (row >> 1) * widths[row % 2]!;
  const both = (name: (side: (typeof sides)[number]) => string) => {
    const values = new Float64Array(2 * pairs * tokens);
    for (let row = 0; row < 2 * pairs; row++) {
      const own = inputs.numbers(name(sides[row % 2]!)).subarray(from(row), from(row) + widths[row % 2]!);
      values.set(own, row * tokens);
    }
    return values;
  };
  const input: ObjectiveInput = {
    rows: 2 * pairs,
    tokens,
    completionMask: Uint8Array.from(both((side) => `${side}_mask`)),
    policy: { logprobs: both((side) => `model_logps_on_${side}`) },
    reference: { logprobs: both((side) => `ref_logps_on_${side}`) },
    perRow: { external: Uint8Array.from({ length: 2 * pairs }, (_, row) => row % 2) },
  };
  /** From [rows, tokens] in the order of a judge back to both sides. */
  const back = (values: Float64Array, order: Int32Array) => {
    const grads = widths.map((width) => new Float64Array(pairs * width));
    order.forEach((row, at) => {
      grads[row % 2]!.set(values.subarray(at * tokens, at * tokens + widths[row % 2]!), from(row));
    });
    return { model_logps_on_model: grads[0]!, model_logps_on_ref: grads[1]! };
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

const divergences = {
  forward_kl: 'forward-kl',
  reverse_kl: 'reverse-kl',
  js: 'js',
  tv: 'total-variation',
  pearson_chi2: 'pearson-chi2',
  neyman_chi2: 'neyman-chi2',
  squared_hellinger: 'squared-hellinger',
  half_chi2_plus_kl: 'half-chi2-plus-kl',
  alpha: 'alpha',
} as const;
const divergenceNames = Object.keys(divergences) as (keyof typeof divergences)[];

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
      divergence: divergences[params.text('divergence', divergenceNames)],
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
