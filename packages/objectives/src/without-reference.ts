import type { ObjectiveInput } from './input.js';
import { defineObjective, type Objective } from './objective.js';
import type { Term } from './weighted.js';

/**
 * An objective against a reference that finds every token equally likely: its log-probabilities are the same constant
 * throughout and are taken as 0, `reference_free` of the DPO authors' code. Logratios become log-probabilities, and a
 * difference of sums over sides of unequal length leans on length. Needs no reference model.
 */
export function withoutReference({ objective, options }: Omit<Term, 'weight'>): Objective {
  const bound = objective.resolveOptions(options);
  const { reference, ...needs } = objective.needsOf(bound);
  return defineObjective({
    ...objective,
    // Another loss: what the objective promises is not its promise.
    claims: () => ({}),
    claimedAt: [],
    name: `${objective.name} without reference`,
    needs: { ...needs, reference: [] },
    needsOf: () => ({ ...needs, reference: [] }),
    options: {},
    atReference: () => undefined,
    evaluate: (input) => {
      const zeros = new Float64Array(input.rows * input.tokens);
      const constant = Object.fromEntries(reference.map((name) => [name, zeros]));
      return objective.evaluate({ ...(input as ObjectiveInput), reference: constant }, bound);
    },
  });
}
