import { d2o, decoupledReward, hybridDpo, hypo, kdrl, rlPlus } from '@kelpie/objectives';
import type { Inputs, Params, Variant, Variants } from './case.js';
import { aggregateNames, aggregations } from './means.js';
import { pairBatch } from './pair-batch.js';
import { estimatorOf, meansOf } from './policy-rows.js';
import { gradient, groupsOf, range, Stack } from './stack.js';

/** Rows of single completions, with advantages on every token. */
function rowBatch(inputs: Inputs) {
  const [rows, tokens] = inputs.shape('mask') as [number, number];
  const advantages = inputs.numbers('advantages');
  return {
    rows,
    tokens,
    completionMask: inputs.mask('mask'),
    policy: { logprobs: inputs.numbers('logps') },
    old: { logprobs: inputs.numbers('old_logps') },
    perToken: {
      advantages: Float64Array.from({ length: rows * tokens }, (_, at) => advantages[Math.floor(at / tokens)]!),
    },
  };
}

/** Its constant divides the sum over all tokens. */
const budgeted = { ...aggregations, constant: 'budget' } as const;

const rlPlusVariant: Variant = (inputs, params) => {
  const batch = rowBatch(inputs);
  const perToken = { ...batch.perToken, behaviourLogprobs: inputs.numbers('external_logps') };
  const perRow = { external: inputs.mask('external') };
  const evaluation = rlPlus.evaluate(
    { ...batch, perToken, perRow },
    {
      gamma: params.number('gamma', 0.5),
      behaviour: params.text('behaviour', ['mixture', 'given'], 'mixture'),
      uniform: params.number('uniform', 1),
      ...clipping(params),
      aggregation: budgeted[params.text('reduction', aggregateNames)],
      tokenBudget: params.number('constant', 1),
    },
  );
  const { externalRatios, exploration } = evaluation.details!;
  return {
    values: { loss: evaluation.loss, external_ratio: externalRatios!, exploration: exploration! },
    grads: gradient(evaluation),
  };
};

function clipping(params: Params) {
  return {
    clip: params.flag('clip'),
    clipRangeLow: params.bound('clip_low', 0.2),
    clipRangeHigh: params.bound('clip_high', 0.2),
  };
}

const hypoVariant: Variant = (inputs, params) => {
  const pairs = inputs.shape('chosen_mask')[0]!;
  const online = inputs.shape('online_mask')[0]!;
  const size = params.number('group_size');
  const order = [
    ...range(pairs).flatMap((pair) => [[0, pair] as const, [1, pair] as const]),
    ...range(online).map((row) => [2, row] as const),
  ];
  const stack = new Stack(inputs, ['chosen_mask', 'rejected_mask', 'online_mask'], order);
  const { rows, tokens, completionMask } = stack;
  const { loss, metrics, cotangents, details } = hypo.evaluate(
    {
      rows,
      tokens,
      completionMask,
      policy: { logprobs: stack.tensor(['chosen_logps', 'rejected_logps', 'online_logps']) },
      reference: { logprobs: stack.tensor(['chosen_ref_logps', 'rejected_ref_logps', 'online_ref_logps']) },
      perRow: {
        groups: Int32Array.from({ length: rows }, (_, row) =>
          row < 2 * pairs ? Math.floor(row / 2) : pairs + Math.floor((row - 2 * pairs) / size),
        ),
        labels: stack.marks(0),
        external: stack.marks(2).map((mark) => 1 - mark),
      },
    },
    { beta: params.number('beta', hypo.defaults.beta), klWeight: params.number('kl_weight', hypo.defaults.klWeight) },
  );
  const [dpoLoss, surrogate] = details!.terms!;
  return {
    values: {
      loss,
      dpo_loss: dpoLoss!,
      kl_estimate: meansOf(metrics)('kl'),
      kl_surrogate: surrogate!,
      kl_advantages: stack.perRow(details!.klAdvantages!, 2),
    },
    grads: {
      chosen_logps: stack.part(cotangents.logprobs!, 0),
      rejected_logps: stack.part(cotangents.logprobs!, 1),
      online_logps: stack.part(cotangents.logprobs!, 2),
    },
  };
};

const d2oVariant: Variant = (inputs, params) => {
  const [prompts, anchors] = inputs.shape('anchor_mask') as [number, number];
  const order = range(prompts).flatMap((prompt) => [
    ...range(anchors).map((anchor) => [0, prompt * anchors + anchor] as const),
    [1, prompt] as const,
  ]);
  const stack = new Stack(inputs, ['anchor_mask', 'negative_mask'], order);
  const { rows, tokens, completionMask } = stack;
  const { loss, cotangents, details } = d2o.evaluate(
    {
      rows,
      tokens,
      completionMask,
      policy: { logprobs: stack.tensor(['anchor_logps', 'negative_logps']) },
      reference: { logprobs: stack.tensor(['anchor_harmful_ref_logps', 'negative_helpful_ref_logps']) },
      perRow: { groups: groupsOf(rows, anchors + 1), labels: stack.marks(0) },
    },
    { beta: params.number('beta', d2o.defaults.beta), alpha: params.number('alpha', d2o.defaults.alpha) },
  );
  return {
    values: {
      loss,
      losses: details!.losses!,
      logits: details!.logits!,
      anchor_log_ratios: stack.perRow(details!.logratios!, 0),
      negative_log_ratios: stack.perRow(details!.logratios!, 1),
    },
    grads: {
      anchor_logps: stack.part(cotangents.logprobs!, 0),
      negative_logps: stack.part(cotangents.logprobs!, 1),
    },
  };
};

const decoupledRewardVariant: Variant = (inputs, params) => {
  const [rows, tokens] = inputs.shape('mask') as [number, number];
  const { defaults } = decoupledReward;
  const lambda = params.get('lambda') == null ? Number.POSITIVE_INFINITY : params.number('lambda');
  const evaluation = decoupledReward.evaluate(
    {
      rows,
      tokens,
      completionMask: inputs.mask('mask'),
      policy: { logprobs: inputs.numbers('logps') },
      old: { logprobs: inputs.numbers('old_logps') },
      perRow: { groups: groupsOf(rows, params.number('group_size')), rewards: inputs.numbers('rewards') },
    },
    {
      tau: params.number('tau', defaults.tau),
      lengthReward: Number.isFinite(lambda),
      ...(Number.isFinite(lambda) && { lambda }),
      maxTokens: params.number('max_tokens', tokens),
      klWeight: params.number('beta', defaults.klWeight),
      delta: params.number('delta', defaults.delta),
      klEstimator: params.text('kl_estimator', ['k1', 'k3'], 'k1'),
    },
  );
  const { scores, weights, terms } = evaluation.details!;
  return {
    values: {
      loss: evaluation.loss,
      objective: terms![0]!,
      kl: meansOf(evaluation.metrics)('kl'),
      penalty: terms![1]!,
      scores: scores!,
      positive_weights: weights!,
    },
    grads: gradient(evaluation),
  };
};

const kdrlVariant: Variant = (inputs, params) => {
  const evaluation = kdrl.evaluate(
    {
      ...rowBatch(inputs),
      reference: { logprobs: inputs.numbers('teacher_logps') },
      perRow: { rewards: inputs.numbers('rewards') },
    },
    {
      coef: params.number('coef', kdrl.defaults.coef),
      ...estimatorOf(params, 'estimator', 'k2'),
      failedOnly: params.flag('failed_only'),
      ...clipping(params),
    },
  );
  return {
    values: {
      loss: evaluation.loss,
      policy_loss: meansOf(evaluation.metrics)('loss/policy_avg'),
      distillation: meansOf(evaluation.metrics)('loss/kl_avg'),
      gate: evaluation.details!.gate!,
    },
    grads: gradient(evaluation),
  };
};

const hybridDpoVariant: Variant = (inputs, params) => {
  const { input, sides } = pairBatch(inputs);
  const { loss, cotangents, details } = hybridDpo.evaluate(input, {
    beta: params.number('beta', hybridDpo.defaults.beta),
  });
  const { losses, referenceMargins, logits } = details!;
  return {
    values: { loss, losses: losses!, reference_margin: referenceMargins!, logits: logits! },
    grads: sides(cotangents.logprobs!, 'logps'),
  };
};

/** Losses of several sources: offline pairs, samples, external rows, a teacher. */
export const hybridVariants: Variants = {
  decoupled_reward: decoupledRewardVariant,
  rl_plus: rlPlusVariant,
  kdrl: kdrlVariant,
  hypo: hypoVariant,
  hybrid_dpo: hybridDpoVariant,
  d2o: d2oVariant,
};
