import {
  aot,
  apoDown,
  apoZero,
  bcoPair,
  confidenceWeighted,
  discopop,
  dpo,
  exo,
  hinge,
  ipo,
  lengthDesensitized,
  lnDpo,
  nca,
  type Objective,
  robustDpo,
  sft,
  sppo,
  type Term,
} from '@kelpie/objectives';
import type { Fields } from './fields.js';

/** An objective and its options. */
export type Bound = Omit<Term, 'weight'>;

/** Options of TRL's DPO trainer that its losses read. */
export interface LossSettings {
  readonly beta: number;
  readonly labelSmoothing: number;
  readonly discopopTau: number;
}

const bound = <Options extends object>(objective: Objective<Options>, options: Partial<Options>): Bound => ({
  objective: objective as unknown as Objective,
  options: options as Record<string, unknown>,
});

/**
 * By TRL's name of the loss. `sigmoid` takes no label smoothing, whatever is set, and `sigmoid_norm` none either; `ipo`
 * averages over tokens; `bco_pair` has no running mean.
 */
export const dpoLosses: Readonly<Record<string, (settings: LossSettings) => Bound>> = {
  sigmoid: ({ beta }) => bound(dpo, { beta }),
  hinge: ({ beta }) => bound(hinge, { beta }),
  ipo: ({ beta }) => bound(ipo, { beta, average: 'mean' }),
  exo_pair: ({ beta, labelSmoothing }) => bound(exo, { beta, labelSmoothing }),
  nca_pair: ({ beta }) => bound(nca, { beta }),
  robust: ({ beta, labelSmoothing }) => bound(robustDpo, { beta, labelSmoothing }),
  bco_pair: ({ beta }) => bound(bcoPair, { beta, delta: 0 }),
  sppo_hard: ({ beta }) => bound(sppo, { beta }),
  aot: ({ beta, labelSmoothing }) => bound(aot, { beta, labelSmoothing, pairing: 'paired' }),
  aot_unpaired: ({ beta, labelSmoothing }) => bound(aot, { beta, labelSmoothing, pairing: 'unpaired' }),
  apo_zero: ({ beta }) => bound(apoZero, { beta }),
  apo_down: ({ beta }) => bound(apoDown, { beta }),
  discopop: ({ beta, discopopTau }) => bound(discopop, { beta, tau: discopopTau }),
  sigmoid_norm: ({ beta }) => bound(lnDpo, { beta }),
  sft: () => bound(sft, { reduction: 'tokens' }),
};

export function readLossSettings(options: Fields): LossSettings {
  return {
    beta: options.number('beta'),
    labelSmoothing: options.number('label_smoothing'),
    discopopTau: options.number('discopop_tau'),
  };
}

/**
 * What TRL's options do to every loss of pairs: `ld_alpha` weighs tokens, not those of `sft`; `use_weighting` multiplies
 * each pair's losses, and `sft`, by confidence in the unweighted tokens.
 */
export function readWeighting(options: Fields): { readonly tokens: Wrap; readonly pairs: Wrap } {
  const alpha = options.nullable('ld_alpha', options.number);
  const confidence = options.boolean('use_weighting');
  return {
    tokens: (term) =>
      alpha === undefined || term.objective.rows !== 'pairs' ? term : { objective: lengthDesensitized(term, alpha) },
    pairs: (term) => (confidence ? { objective: confidenceWeighted(term) } : term),
  };
}

type Wrap = (term: Bound) => Bound;
