export interface ReferenceUpdateOptions {
  /** Share of the policy in the new reference, in [0, 1]. 0.6: soft; 1: hard, a copy. Default 0.6. */
  readonly alpha?: number;
  /** Steps from one update to the next, a whole number from 1. Default 512. */
  readonly every?: number;
}

/** Whether the reference moves after this step, the first step being 1. */
export function updatesReference(step: number, { every = 512 }: ReferenceUpdateOptions = {}): boolean {
  if (!(Number.isInteger(every) && every >= 1))
    throw new RangeError(`every: expected a whole number from 1, got ${every}`);
  return step % every === 0;
}

/**
 * A reference that follows the policy: trust-region DPO. Gorbatovski et al. 2024, arXiv:2404.09656; defaults and
 * schedule as TRL's `sync_ref_model`.
 *   after step t, counted from 1, with t mod every = 0:   ref = alpha policy + (1 - alpha) ref
 * Both are parameters, [parameters]; gives the reference of step t + 1, the same array where it stays. Rewards logged
 * before and after an update are measured from different references and do not compare.
 */
export function updatedReference(
  {
    reference,
    policy,
    step,
  }: { readonly reference: Float64Array; readonly policy: Float64Array; readonly step: number },
  options: ReferenceUpdateOptions = {},
): Float64Array {
  const { alpha = 0.6 } = options;
  if (!(alpha >= 0 && alpha <= 1)) throw new RangeError(`alpha: expected a number from 0 to 1, got ${alpha}`);
  if (policy.length !== reference.length) {
    throw new RangeError(`policy: expected ${reference.length} parameters, got ${policy.length}`);
  }
  if (!updatesReference(step, options)) return reference;
  return reference.map((value, at) => alpha * policy[at]! + (1 - alpha) * value);
}
