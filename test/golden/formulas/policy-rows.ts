import { type KlEstimator, type Metrics, meanMetrics, type ObjectiveInput, spreadRows } from '@kelpie/objectives';
import type { Inputs, Params } from './case.js';

/** Rows and tokens of a tensor, and the batch's mask. */
export function gridOf(inputs: Inputs, name: string) {
  const [rows, tokens] = inputs.shape(name) as [number, number];
  return { rows, tokens, completionMask: inputs.mask('mask') };
}

/** Tensors of policy-gradient losses; an advantage a row stands on each of its tokens. `reference`: whose tensor that is. */
export function policyRows(inputs: Inputs, reference = 'ref_logps'): ObjectiveInput {
  const grid = gridOf(inputs, 'logps');
  const given = <Name extends string>(names: Readonly<Record<Name, string>>) =>
    Object.fromEntries(
      Object.entries<string>(names)
        .filter(([, tensor]) => inputs.has(tensor))
        .map(([name, tensor]) => [name, inputs.numbers(tensor)]),
    );
  const advantages = inputs.numbers('advantages');
  const perRow = inputs.shape('advantages').length === 1;
  return {
    ...grid,
    policy: given({ logprobs: 'logps', values: 'values', entropy: 'entropy' }),
    old: given({ logprobs: 'old_logps', values: 'old_values', entropy: 'old_entropy' }),
    reference: given({ logprobs: reference }),
    perRow: given({ rewards: 'rewards' }),
    perToken: { advantages: perRow ? spreadRows(grid, advantages) : advantages, ...given({ returns: 'returns' }) },
  };
}

const estimators: Readonly<Record<string, { readonly klEstimator: KlEstimator; readonly klClamp?: number }>> = {
  k1: { klEstimator: 'k1' },
  k2: { klEstimator: 'k2' },
  k3: { klEstimator: 'k3' },
  abs: { klEstimator: 'abs' },
  k3_clamped: { klEstimator: 'k3', klClamp: 10 },
  k3_reversed: { klEstimator: 'k3-swapped' },
  k1_k2grad: { klEstimator: 'k1+' },
  k3_k2grad: { klEstimator: 'k3+' },
};

/** An estimator by the files' names. */
export function estimatorOf(params: Params, name: string, preset: string) {
  return estimators[params.text(name, Object.keys(estimators), preset)]!;
}

/** Means by key; one of nothing is 0. */
export function meansOf(metrics: Metrics): (key: string) => number {
  const means = meanMetrics(metrics);
  return (key) => {
    if (metrics[key] === undefined) throw new Error(`no metric \`${key}\`; there are ${Object.keys(metrics)}`);
    return means[key] ?? 0;
  };
}
