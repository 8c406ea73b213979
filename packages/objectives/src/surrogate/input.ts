import type { Needs, Scores, TokenTable, Totals } from '../input.js';
import type { Grid } from '../numerics.js';

/** What policy-gradient losses read. */
export interface PolicyInput extends Grid {
  readonly policy: Scores & { readonly logprobs: Float64Array };
  readonly stopped: Scores & { readonly logprobs: Float64Array };
  /** Absent scores: no KL is trained on or reported. */
  readonly reference: Scores;
  readonly old: Scores;
  readonly perToken: Partial<TokenTable> & Pick<TokenTable, 'advantages'>;
  readonly totals: Totals;
}

/** Scores of a policy-gradient loss with everything off that is optional. */
export const policyNeeds = {
  policy: ['logprobs'],
  reference: [],
  old: ['logprobs'],
  perToken: ['advantages'],
} as const satisfies Needs;

/** `policyNeeds`, and what these options ask for. */
export function policyNeedsOf({
  beta = 0,
  entropyCoef = 0,
  onPolicy = false,
}: {
  readonly beta?: number;
  readonly entropyCoef?: number;
  readonly onPolicy?: boolean;
}): Needs {
  return {
    policy: entropyCoef > 0 ? ['logprobs', 'entropy'] : ['logprobs'],
    reference: beta > 0 ? ['logprobs'] : [],
    old: onPolicy ? [] : ['logprobs'],
    perToken: ['advantages'],
  };
}

/** [rows, tokens] of the policy that sampled: on policy the trained one, held still, whose ratio is 1. */
export function oldLogprobs({ stopped, old }: PolicyInput, onPolicy: boolean): Float64Array {
  return onPolicy ? stopped.logprobs : old.logprobs!;
}
