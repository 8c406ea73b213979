import { alphaPo, apoZeroUnpaired, cpo, dft, kto, type Objective, orpo, rewardModel, simpo } from '@kelpie/objectives';
import type { Fields } from './fields.js';

export interface Chosen {
  readonly objective: Objective;
  readonly objectiveOptions: Readonly<Record<string, unknown>>;
}

/** The KL is a mean over the micro-batch, clamped at 0; the loss a mean over rows, weights included. */
export function ktoLoss(options: Fields): Chosen {
  const loss = options.choice('loss_type', ['kto', 'apo_zero_unpaired']);
  return {
    objective: (loss === 'kto' ? kto : apoZeroUnpaired) as Objective,
    objectiveOptions: {
      beta: options.number('beta'),
      desirableWeight: options.number('desirable_weight'),
      undesirableWeight: options.number('undesirable_weight'),
    },
  };
}

/** `ipo` and `simpo` read averages, `sigmoid` and `hinge` sums; `alpha` bends any of them. */
export function cpoLoss(options: Fields): Chosen {
  const loss = options.choice('loss_type', ['sigmoid', 'hinge', 'ipo', 'simpo']);
  const beta = options.number('beta');
  const alpha = options.number('alpha');
  const gamma = options.number('simpo_gamma');
  const shared = {
    beta,
    labelSmoothing: options.number('label_smoothing'),
    nllWeight: options.number('cpo_alpha'),
    nllReduction: 'tokens',
  };
  if (loss === 'simpo') {
    const gammaBetaRatio = gamma / beta;
    return alpha === 0
      ? { objective: simpo as Objective, objectiveOptions: { ...shared, gammaBetaRatio } }
      : { objective: alphaPo as Objective, objectiveOptions: { ...shared, gammaBetaRatio, alpha } };
  }
  const losses = { sigmoid: 'logistic', hinge: 'hinge', ipo: 'squared' };
  const score = loss === 'ipo' ? 'mean' : 'sum';
  return { objective: cpo as Objective, objectiveOptions: { ...shared, alpha, score, loss: losses[loss] } };
}

/** The likelihood covers prompt and chosen, as a mean over the tokens of the micro-batch. */
export function orpoLoss(options: Fields): Chosen {
  return {
    objective: orpo as Objective,
    objectiveOptions: { beta: options.number('beta'), nllOver: 'sequence', nllReduction: 'tokens' },
  };
}

/** Margins are there if the rows have them. */
export function rewardLoss(options: Fields, margins: boolean): Chosen {
  return {
    objective: rewardModel as unknown as Objective,
    objectiveOptions: {
      useMargin: margins,
      centerCoefficient: options.nullable('center_rewards_coefficient', options.number) ?? 0,
    },
  };
}

/** The mean over all target tokens of the step, each weighed by its probability. */
export const dftLoss: Chosen = { objective: dft as Objective, objectiveOptions: { reduction: 'tokens' } };
