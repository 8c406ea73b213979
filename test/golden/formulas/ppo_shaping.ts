import {
  adaptiveKlController,
  addChunk,
  type MissingEos,
  noMoments,
  shapedRewards,
  trailingSlotRewards,
  whiten,
} from '@kelpie/objectives';
import type { Params, Variants } from './case.js';
import { estimatorOf, gridOf } from './policy-rows.js';

function missingEosOf(params: Params): { readonly missingEos?: MissingEos } {
  const given = params.get('missing_eos') as (MissingEos & Record<string, unknown>) | undefined;
  if (given === undefined) return {};
  const { mode, penalty, ...unknown } = given;
  const known = (mode === 'subtract' || mode === 'replace') && typeof penalty === 'number';
  if (!known || Object.keys(unknown).length > 0) throw new Error(`missing_eos: ${JSON.stringify(given)} is not known`);
  return { missingEos: { mode, penalty } };
}

export const variants: Variants = {
  shaped: (inputs, params) => {
    const shaped = shapedRewards(
      {
        ...gridOf(inputs, 'logps'),
        logprobs: inputs.numbers('logps'),
        referenceLogprobs: inputs.numbers('ref_logps'),
        scores: inputs.numbers('scores'),
        ...(inputs.has('has_eos') && { hasEos: inputs.mask('has_eos') }),
      },
      {
        klCoef: params.number('kl_coef'),
        ...estimatorOf(params, 'kl_estimator', 'k1'),
        ...missingEosOf(params),
        ...(params.has('score_clip') && { clip: params.number('score_clip') }),
      },
    );
    return {
      values: {
        rewards: shaped.rewards,
        kl: shaped.kl,
        scores_used: shaped.usedScores,
        mean_seq_kl: shaped.meanSequenceKl,
        mean_non_score_reward: shaped.meanNonScoreReward,
      },
    };
  },
  trailing_slot: (inputs, params) => {
    const [rows, tokens] = inputs.shape('logps') as [number, number];
    const trailing = trailingSlotRewards(
      {
        rows,
        tokens,
        logprobs: inputs.numbers('logps'),
        referenceLogprobs: inputs.numbers('ref_logps'),
        scores: inputs.numbers('scores'),
        lastTokens: inputs.numbers('sequence_lengths'),
      },
      { klCoef: params.number('kl_coef'), ...estimatorOf(params, 'kl_estimator', 'k1') },
    );
    return {
      values: {
        rewards: trailing.rewards,
        token_mask: trailing.tokenMask,
        value_mask: trailing.valueMask,
        rewards_whitened: trailing.whitened,
        metric_kl: trailing.meanSequenceKl,
        metric_entropy: trailing.meanNegativeLogprob,
      },
    };
  },
  whiten: (inputs, params) => ({
    values: {
      whitened: whiten(inputs.numbers('x'), inputs.mask('mask'), {
        shiftMean: params.flag('shift_mean', true),
        unbiased: params.flag('unbiased', true),
        epsilon: params.number('eps', 1e-8),
      }),
    },
  }),
  adaptive_kl: (inputs, params) => {
    let controller = adaptiveKlController({
      klCoef: params.number('init', 0.2),
      target: params.number('target', 6),
      horizon: params.number('horizon', 10000),
    });
    const samples = params.number('n_steps');
    const values = inputs.numbers('kl').map((kl) => {
      controller = controller.update(kl, samples);
      return controller.klCoef;
    });
    return { values: { values } };
  },
  running_moments: (inputs) => {
    let moments = noMoments;
    const rows: number[] = [];
    for (let chunk = 0; inputs.has(`chunk${chunk}`); chunk++) {
      moments = addChunk(moments, inputs.numbers(`chunk${chunk}`));
      rows.push(moments.mean, moments.variance, moments.deviation, moments.count);
    }
    return { values: { after_each_chunk: rows } };
  },
};
