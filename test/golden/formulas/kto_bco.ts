import { apoZeroUnpaired, bco, kto, type Objective, type ObjectiveInput } from '@kelpie/objectives';
import type { Inputs, Numbers, Outcome, Params, Variants } from './case.js';

/** `prefix`: of the tensors; `kl_` for the mismatched rows. */
function scored(inputs: Inputs, prefix = '') {
  const [rows, tokens] = inputs.shape(`${prefix}logps`) as [number, number];
  return {
    rows,
    tokens,
    completionMask: inputs.mask(`${prefix}mask`),
    policy: { logprobs: inputs.numbers(`${prefix}logps`) },
    reference: { logprobs: inputs.numbers(`${prefix}ref_logps`) },
  };
}

function evaluate<Options extends object>(
  objective: Objective<Options>,
  options: Partial<Options>,
  input: ObjectiveInput,
  extras: Readonly<Record<string, string>> = {},
): Outcome {
  const { loss, cotangents, details = {} } = objective.evaluate(input, options);
  const { losses, implicitRewards: rewards } = details as Record<'losses' | 'implicitRewards', Float64Array>;
  const more = Object.entries(extras).map(([name, detail]): [string, Numbers] => [name, details[detail]![0]!]);
  return { values: { loss, losses, rewards, ...Object.fromEntries(more) }, grads: { logps: cotangents.logprobs! } };
}

const rowsOf = (inputs: Inputs): ObjectiveInput => ({
  ...scored(inputs),
  perRow: { labels: Uint8Array.from(inputs.numbers('label')) },
});

const weights = (params: Params) => ({
  desirableWeight: params.number('desirable_weight', 1),
  undesirableWeight: params.number('undesirable_weight', 1),
});

export const variants: Variants = {
  kto: (inputs, params) =>
    evaluate(
      kto,
      { beta: params.number('beta'), ...weights(params) },
      { ...rowsOf(inputs), batches: { mismatched: scored(inputs, 'kl_') } },
      { kl: 'referencePoint' },
    ),
  apo_zero_unpaired: (inputs, params) =>
    evaluate(apoZeroUnpaired, { beta: params.number('beta'), ...weights(params) }, rowsOf(inputs)),
  bco: (inputs, params) => {
    const state = { deltaMean: params.number('delta_mean', 0), deltaCount: params.number('delta_count', 0) };
    return evaluate(bco, { beta: params.number('beta') }, { ...rowsOf(inputs), state }, { delta: 'delta' });
  },
};
