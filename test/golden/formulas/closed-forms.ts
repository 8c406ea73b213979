import {
  asymmetricWeights,
  bestResponseGain,
  expectedKlGradient,
  klToEquilibrium,
  nashEquilibrium,
  nashMirrorProx,
  posteriorDivergence,
  sftProbability,
  updatedReference,
  weightSoup,
} from '@kelpie/objectives';
import type { Variant, Variants } from './case.js';
import { groupsOf, range } from './stack.js';

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

/** What is no loss over rows. */
export const closedForms: Variants = {
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
