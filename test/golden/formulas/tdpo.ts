import {
  type ObjectiveInput,
  pullToLogits,
  type Scores,
  scoresOfLogits,
  sparsePo,
  tdpo1,
  tdpo2,
} from '@kelpie/objectives';
import type { Inputs, Outcome, Params, Variants } from './case.js';
import { pairStack } from './stack.js';

type Side = 'chosen' | 'rejected';

/** One side's logits with every token unmasked: the files give scores of all of them. */
function logitsOf(inputs: Inputs, side: Side) {
  const [rows = 0, tokens = 0, vocabulary = 0] = inputs.shape(`${side}_logits`);
  return {
    rows,
    tokens,
    vocabulary,
    completionMask: new Uint8Array(rows * tokens).fill(1),
    logits: inputs.numbers(`${side}_logits`),
    referenceLogits: inputs.numbers(`${side}_ref_logits`),
    ids: inputs.numbers(`${side}_labels`),
  };
}

type Evaluate = (input: ObjectiveInput) => ReturnType<typeof tdpo1.evaluate>;

function outcome(inputs: Inputs, evaluate: Evaluate): Outcome {
  const logits = { chosen: logitsOf(inputs, 'chosen'), rejected: logitsOf(inputs, 'rejected') };
  const stack = pairStack(inputs);
  const { rows, tokens, completionMask } = stack;
  const both = (of: (side: Side) => Float64Array) => stack.stacked([of('chosen'), of('rejected')]);
  const given = (name: string) => both((side) => inputs.numbers(`${side}_${name}`));
  const policy = {
    chosen: scoresOfLogits(logits.chosen, ['logprobs', 'forwardKl']),
    rejected: scoresOfLogits(logits.rejected, ['logprobs', 'forwardKl']),
  };
  const reference = (side: Side): Scores =>
    scoresOfLogits({ ...logits[side], logits: logits[side].referenceLogits }, ['logprobs']);
  const {
    loss,
    cotangents,
    details = {},
  } = evaluate({
    rows,
    tokens,
    completionMask,
    policy: { logprobs: both((side) => policy[side].logprobs!), forwardKl: both((side) => policy[side].forwardKl!) },
    reference: { logprobs: both((side) => reference(side).logprobs!) },
    perToken: { rewardWeights: given('reward_weight'), klWeights: given('kl_weight') },
  });
  const sides = (['chosen', 'rejected'] as const).map((side, part) => {
    const row = (name: string) => stack.perRow(details[name]!, part);
    const d = {
      logprobs: stack.part(cotangents.logprobs!, part),
      forwardKl: stack.part(cotangents.forwardKl!, part),
    };
    const mask = { completionMask: inputs.mask(`${side}_mask`) };
    return {
      values: {
        [`${side}_margin`]: row('logratios'),
        [`${side}_seq_kl`]: row('sequenceKls'),
        [`${side}_rewards`]: row('implicitRewards'),
        [`${side}_seq_logps`]: row('sequenceLogprobs'),
        [`${side}_token_logps`]: policy[side].logprobs!,
        [`${side}_position_kl`]: policy[side].forwardKl!,
        [`d_${side}_token_logps`]: d.logprobs,
        [`d_${side}_position_kl`]: d.forwardKl,
      },
      grads: { [`${side}_logits`]: pullToLogits({ ...logits[side], ...mask }, d) },
    };
  });
  return {
    values: { loss, losses: details.losses!, ...sides[0]!.values, ...sides[1]!.values },
    grads: { ...sides[0]!.grads, ...sides[1]!.grads },
  };
}

/** Carried by cases of the other variants. */
const unusedAlpha = (params: Params) => params.has('alpha');

export const variants: Variants = {
  tdpo1(inputs, params) {
    unusedAlpha(params);
    const beta = params.number('beta');
    return outcome(inputs, (input) => tdpo1.evaluate(input, { beta }));
  },
  tdpo2(inputs, params) {
    const options = { beta: params.number('beta'), alpha: params.number('alpha', tdpo2.defaults.alpha) };
    return outcome(inputs, (input) => tdpo2.evaluate(input, options));
  },
  sparsepo(inputs, params) {
    unusedAlpha(params);
    const beta = params.number('beta');
    return outcome(inputs, (input) => sparsePo.evaluate(input, { beta }));
  },
};
