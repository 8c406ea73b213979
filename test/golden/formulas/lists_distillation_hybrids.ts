import {
  alphaDivergence,
  asymmetricWeights,
  balancedKl,
  bestResponseGain,
  brio,
  type Divergence,
  d2o,
  decoupledReward,
  distillationLoss,
  type Evaluation,
  expectedKlGradient,
  forwardKl,
  generalizedJsd,
  halfChi2PlusKl,
  hybridDpo,
  hypo,
  jensenShannon,
  kdrl,
  klEstimators,
  klToEquilibrium,
  type Metrics,
  nashEquilibrium,
  nashMirrorProx,
  neymanChi2,
  pearsonChi2,
  plackettLuce,
  posteriorDivergence,
  rankingDistillationLoss,
  reverseKl,
  rlPlus,
  sftProbability,
  skewedForwardKl,
  skewedReverseKl,
  squaredHellinger,
  totalVariation,
  updatedReference,
  weightSoup,
} from '@kelpie/objectives';
import type { Inputs, Params, Variant, Variants } from './case.js';
import { pairBatch } from './pair-batch.js';

/** Mean of a metric; 0 of nothing. */
function meanOf(metrics: Metrics, name: string): number {
  const { sum, count } = metrics[name]!;
  return count > 0 ? sum / count : 0;
}

/** Rows of several tensors [..., rows, tokens] in one grid, each widened by masked zeros. */
class Stack {
  readonly rows: number;
  readonly tokens: number;
  readonly completionMask: Uint8Array;
  readonly #inputs: Inputs;
  readonly #widths: readonly number[];
  readonly #order: readonly (readonly [part: number, row: number])[];

  /** `order` says of which mask, and which of its rows, each row of the grid is. */
  constructor(inputs: Inputs, masks: readonly string[], order: readonly (readonly [part: number, row: number])[]) {
    this.#inputs = inputs;
    this.#widths = masks.map((name) => inputs.shape(name).at(-1)!);
    this.#order = order;
    this.rows = order.length;
    this.tokens = Math.max(0, ...this.#widths);
    this.completionMask = Uint8Array.from(this.tensor(masks));
  }

  /** [rows, tokens], from one tensor a part. */
  tensor(names: readonly string[]): Float64Array {
    const parts = names.map((name) => this.#inputs.numbers(name));
    const values = new Float64Array(this.rows * this.tokens);
    this.#order.forEach(([part, row], at) => {
      const width = this.#widths[part]!;
      values.set(parts[part]!.subarray(row * width, (row + 1) * width), at * this.tokens);
    });
    return values;
  }

  /** [rows, tokens] as the tensor of one part. */
  part(values: Float64Array, part: number): Float64Array {
    const width = this.#widths[part]!;
    const own = this.#order.flatMap(([of, row], at) => (of === part ? [{ row, at }] : []));
    const taken = new Float64Array(own.length * width);
    for (const { row, at } of own) taken.set(values.subarray(at * this.tokens, at * this.tokens + width), row * width);
    return taken;
  }

  /** [rows] as the numbers of one part. */
  perRow(values: Float64Array, part: number): Float64Array {
    const taken = new Float64Array(this.#order.filter(([of]) => of === part).length);
    this.#order.forEach(([of, row], at) => {
      if (of === part) taken[row] = values[at]!;
    });
    return taken;
  }

  /** 1 on the rows of one part. */
  marks(part: number): Uint8Array {
    return Uint8Array.from(this.#order, ([of]) => (of === part ? 1 : 0));
  }
}

const range = (count: number) => Array.from({ length: count }, (_, index) => index);

/** [rows]: rows of equal groups, one after another. */
function groupsOf(rows: number, size: number): Int32Array {
  return Int32Array.from({ length: rows }, (_, row) => Math.floor(row / size));
}

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

const gradient = ({ cotangents }: Evaluation) => ({ logps: cotangents.logprobs! });

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
      ranking_loss: meanOf(metrics, 'ranking_loss'),
      nll: meanOf(metrics, 'nll_loss'),
      scores: stack.perRow(details!.scores!, 0),
      gold_scores: stack.perRow(details!.scores!, 1),
    },
    grads: { logps: stack.part(cotangents.logprobs!, 0), gold_logps: stack.part(cotangents.logprobs!, 1) },
  };
};

const divergences: Readonly<Record<string, (params: Params) => Divergence>> = {
  forward_kl: () => forwardKl,
  reverse_kl: () => reverseKl,
  js: () => jensenShannon,
  total_variation: () => totalVariation,
  tv: () => totalVariation,
  chi2: () => pearsonChi2,
  pearson_chi2: () => pearsonChi2,
  chi2_reversed: () => neymanChi2,
  neyman_chi2: () => neymanChi2,
  half_chi2_plus_kl: () => halfChi2PlusKl,
  squared_hellinger: () => squaredHellinger,
  generalized_jsd: (params) => generalizedJsd(params.number('beta', 0.5)),
  alpha: (params) => alphaDivergence(params.number('alpha', 0.5)),
  skew_forward_kl: (params) => skewedForwardKl(params.number('skew', 0.1)),
  skew_reverse_kl: (params) => skewedReverseKl(params.number('skew', 0.1)),
  balanced: (params) =>
    balancedKl({ forward: params.number('forward_weight', 1), reverse: params.number('reverse_weight', 1) }),
};

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

const aggregations = {
  constant: 'budget',
  token_mean: 'tokens',
  seq_mean_token_mean: 'rows',
  seq_mean_token_sum: 'sums',
} as const;

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
      aggregation: aggregations[params.text('reduction', Object.keys(aggregations) as (keyof typeof aggregations)[])],
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
    clipRangeLow: params.number('clip_low', 0.2),
    clipRangeHigh: params.number('clip_high', 0.2),
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
      kl_estimate: meanOf(metrics, 'kl'),
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
      kl: meanOf(evaluation.metrics, 'kl'),
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
      klEstimator: params.text('estimator', klEstimators, 'k2'),
      failedOnly: params.flag('failed_only'),
      ...clipping(params),
    },
  );
  return {
    values: {
      loss: evaluation.loss,
      policy_loss: meanOf(evaluation.metrics, 'loss/policy_avg'),
      distillation: meanOf(evaluation.metrics, 'loss/kl_avg'),
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

const mirrorProx: Variant = (inputs, params) => {
  const game = {
    preference: inputs.numbers('preference'),
    referenceLogits: inputs.numbers('ref_logits'),
    beta: params.number('beta'),
  };
  const path = nashMirrorProx(game, { eta: params.number('eta'), iterations: params.number('iterations') });
  const policies = path.slice(1).map(({ logprobs }) => logprobs);
  const equilibrium = nashEquilibrium(game);
  const [start, first] = path;
  return {
    values: {
      first_half: first!.half.map(Math.exp),
      first: first!.logprobs.map(Math.exp),
      trajectory: Float64Array.from(policies.flatMap((logprobs) => [...logprobs.map(Math.exp)])),
      equilibrium: equilibrium.map(Math.exp),
      kl_to_equilibrium: klToEquilibrium(equilibrium, [start!.logprobs, ...policies]),
      best_response_gain: Float64Array.from(policies, (logprobs) => bestResponseGain(game, logprobs)),
    },
  };
};

export const variants: Variants = {
  plackett_luce: plackettLuceVariant,
  margin_ranking: marginRanking,
  distill(inputs, params) {
    const divergence = divergences[params.text('divergence', Object.keys(divergences))]!(params);
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
  decoupled_reward: decoupledRewardVariant,
  rl_plus: rlPlusVariant,
  kdrl: kdrlVariant,
  hypo: hypoVariant,
  hybrid_dpo: hybridDpoVariant,
  d2o: d2oVariant,
  sasr_probability(inputs, params) {
    const [warmupGradientNorm] = inputs.numbers('warmup_grad_norm');
    const gamma = params.number('gamma', 1);
    return {
      values: {
        sft_probability: inputs
          .numbers('sft_grad_norms')
          .map((gradientNorm) => sftProbability({ gradientNorm, warmupGradientNorm: warmupGradientNorm!, gamma })),
      },
    };
  },
  weight_soup(inputs, params) {
    const models = (params.get('models') as readonly string[]).map((name) => inputs.numbers(name));
    return { values: { parameters: weightSoup(models, params.get('weights') as readonly number[] | undefined) } };
  },
  reference_update(inputs, params) {
    const [steps, size] = inputs.shape('policy') as [number, number];
    const policies = inputs.numbers('policy');
    const options = { alpha: params.number('alpha', 0.6), every: params.number('every', 512) };
    let reference = inputs.numbers('reference');
    const references = range(steps).flatMap((index) => {
      const policy = policies.slice(index * size, (index + 1) * size);
      reference = updatedReference({ reference, policy, step: index + 1 }, options);
      return [...reference];
    });
    return { values: { references } };
  },
  asymmetric_po(inputs, params) {
    const rewards = inputs.numbers('rewards');
    const groups = groupsOf(rewards.length, params.number('group_size'));
    const weights = asymmetricWeights({ rewards, groups, lengths: inputs.numbers('lengths') });
    return {
      values: {
        difficulty: weights.difficulties,
        kl_weights: weights.klWeights,
        advantage_scale: weights.advantageScales,
        advantages: weights.advantages,
      },
    };
  },
  posterior(inputs, params) {
    const problem = {
      logits: inputs.numbers('logits'),
      referenceLogits: inputs.numbers('ref_logits'),
      rewards: inputs.numbers('rewards'),
      beta: params.number('beta'),
    };
    const { gradients, ...posterior } = posteriorDivergence(problem);
    return {
      values: {
        loss: posterior.klToPosterior,
        log_z: posterior.logPartition,
        posterior: posterior.logprobs.map(Math.exp),
        objective: posterior.objective,
        optimum: posterior.optimum,
        kl_policy_ref: posterior.klToReference,
        objective_grad: gradients.objective,
        forward_kl: posterior.forwardKl,
        forward_kl_grad: gradients.forwardKl,
      },
      grads: { logits: gradients.klToPosterior },
    };
  },
  hypo_expectation(inputs, params) {
    const [logits, referenceLogits] = [inputs.numbers('logits'), inputs.numbers('ref_logits')];
    const { klToReference } = posteriorDivergence({
      logits,
      referenceLogits,
      rewards: new Float64Array(logits.length),
      beta: 1,
    });
    return {
      values: {
        expected_gradient: expectedKlGradient(logits, referenceLogits, params.number('group_size')),
        kl: klToReference,
      },
    };
  },
  nash_mirror_prox: mirrorProx,
};
