import {
  balancedKl,
  brio,
  type Divergence,
  distillationLoss,
  generalizedJsd,
  plackettLuce,
  rankingDistillationLoss,
  skewedForwardKl,
  skewedReverseKl,
} from '@kelpie/objectives';
import type { Inputs, Params, Variant, Variants } from './case.js';
import { divergenceNames, divergenceOf } from './fdivergence.js';
import { meansOf } from './policy-rows.js';
import { gradient, groupsOf, range, Stack } from './stack.js';

const plackettLuceVariant: Variant = (inputs, params) => {
  const [lists, items] = inputs.shape('mask') as [number, number];
  const rows = range(lists * items).map((row) => [0, row] as const);
  const stack = new Stack(inputs, ['mask'], rows);
  const { rows: count, tokens, completionMask } = stack;
  const evaluation = plackettLuce.evaluate(
    {
      rows: count,
      tokens,
      completionMask,
      policy: { logprobs: stack.tensor(['logps']) },
      reference: { logprobs: stack.tensor(['ref_logps']) },
      perRow: { groups: groupsOf(count, items), ranks: Int32Array.from(inputs.numbers('ranks')) },
    },
    {
      beta: params.number('beta', plackettLuce.defaults.beta),
      score: params.text('score', ['sum', 'mean'], 'sum'),
      topK: params.get('top_k') == null ? 0 : params.number('top_k'),
      ties: params.text('ties', ['strict', 'breslow'], 'strict'),
    },
  );
  const { losses, scores, scoreGradients } = evaluation.details!;
  return {
    values: { loss: evaluation.loss, losses: losses!, scores: scores!, score_grads: scoreGradients! },
    grads: gradient(evaluation),
  };
};

const reductions = { offset_mean: 'offset-mean', pair_sum: 'pair-sum' } as const;

const marginRanking: Variant = (inputs, params) => {
  const [lists, items] = inputs.shape('mask') as [number, number];
  const order = range(lists).flatMap((list) => [
    ...range(items).map((item) => [0, list * items + item] as const),
    [1, list] as const,
  ]);
  const stack = new Stack(inputs, ['mask', 'gold_mask'], order);
  const { rows, tokens, completionMask } = stack;
  const { loss, metrics, cotangents, details } = brio.evaluate(
    {
      rows,
      tokens,
      completionMask,
      policy: { logprobs: stack.tensor(['logps', 'gold_logps']) },
      perRow: {
        groups: groupsOf(rows, items + 1),
        ranks: Int32Array.from({ length: rows }, (_, row) => row % (items + 1)),
        external: stack.marks(1),
      },
    },
    {
      lengthExponent: params.number('length_exponent', 1),
      addedLength: params.number('adding', 0),
      scale: params.number('scale', 1),
      margin: params.number('margin', 0),
      reduction: reductions[params.text('reduction', ['offset_mean', 'pair_sum'], 'offset_mean')],
      rankWeight: params.number('rank_weight', 1),
      goldWeight: params.number('gold_weight', 0),
      goldMargin: params.number('gold_margin', 0),
      nllWeight: params.number('nll_weight', 0),
    },
  );
  return {
    values: {
      loss,
      ranking_loss: meansOf(metrics)('ranking_loss'),
      nll: meansOf(metrics)('nll_loss'),
      scores: stack.perRow(details!.scores!, 0),
      gold_scores: stack.perRow(details!.scores!, 1),
    },
    grads: { logps: stack.part(cotangents.logprobs!, 0), gold_logps: stack.part(cotangents.logprobs!, 1) },
  };
};

/** Those of the vocabulary alone. */
const families: Readonly<Record<string, (params: Params) => Divergence>> = {
  generalized_jsd: (params) => generalizedJsd(params.number('beta', 0.5)),
  skew_forward_kl: (params) => skewedForwardKl(params.number('skew', 0.1)),
  skew_reverse_kl: (params) => skewedReverseKl(params.number('skew', 0.1)),
  balanced: (params) =>
    balancedKl({ forward: params.number('forward_weight', 1), reverse: params.number('reverse_weight', 1) }),
};

function distilled(params: Params): Divergence {
  const name = params.text('divergence', [...Object.keys(families), ...divergenceNames]);
  return families[name]?.(params) ?? divergenceOf(params);
}

function logitBatch(inputs: Inputs) {
  const [rows, tokens, vocabulary] = inputs.shape('logits') as [number, number, number];
  return {
    rows,
    tokens,
    vocabulary,
    completionMask: inputs.mask('mask'),
    logits: inputs.numbers('logits'),
    teacherLogits: inputs.numbers('teacher_logits'),
  };
}

/** Rankings, and distillation over the vocabulary. */
export const listVariants: Variants = {
  plackett_luce: plackettLuceVariant,
  margin_ranking: marginRanking,
  distill(inputs, params) {
    const divergence = distilled(params);
    const {
      loss,
      perToken,
      gradient: logits,
    } = distillationLoss(logitBatch(inputs), divergence, {
      temperature: params.number('temperature', 1),
      scaleByTemperatureSquared: params.flag('scale_by_temperature_squared'),
    });
    return { values: { loss, divergence: perToken }, grads: { logits } };
  },
  pld(inputs, params) {
    const {
      loss,
      perToken,
      order,
      weights,
      gradient: logits,
    } = rankingDistillationLoss(
      { ...logitBatch(inputs), labels: inputs.numbers('labels') },
      {
        weights: params.text('weights', ['teacher', 'uniform', 'first'], 'teacher'),
        teacherTemperature: params.number('teacher_temperature', 1),
      },
    );
    return { values: { loss, per_position: perToken, order, weights }, grads: { logits } };
  },
};
