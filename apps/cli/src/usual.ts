import type { Objective } from '@kelpie/objectives';
import type { PolicyInfo } from '@kelpie/policy';
import type { StartConfig } from './config/schema.js';

interface Usual {
  readonly when: string;
  readonly from: number;
  readonly to: number;
}

/** Below this many parameters, models bear (and need) larger steps. */
const SMALL = 2e7;

/**
 * Learning rates of AdamW that published runs stay within, by what is trained. Preferences move a trained model by
 * little: 5e-7 to 5e-6 for billions of parameters (Tunstall et al. 2023, arXiv:2310.16944), up to 5e-4 for a million.
 */
function usualRate(objective: Objective, { model, lora }: StartConfig, { parameters }: PolicyInfo): Usual {
  const small = parameters < SMALL;
  if (model.init !== undefined) return { when: 'weights that start at random', from: 1e-4, to: 1e-2 };
  if (lora.rank !== undefined || model.adapter !== undefined) return { when: 'an adapter', from: 1e-6, to: 2e-3 };
  const when = `a model of ${small ? 'this size' : 'more than 20 million parameters'}`;
  if (objective.rows === 'single') return { when, from: 1e-7, to: small ? 5e-3 : 5e-4 };
  return { when, from: 1e-8, to: small ? 1e-3 : 1e-4 };
}

/**
 * A tenth to ten times the preset. A KL in the loss is mostly off by default; runs with rewards of the order of 1 give it a
 * weight of 1e-3 (DeepSeek-AI 2025, arXiv:2501.12948) to 0.04 (Shao et al. 2024, arXiv:2402.03300).
 */
function usualBeta({ name, defaults }: Objective): Usual | undefined {
  const { beta, klEstimator } = defaults as { readonly beta?: unknown; readonly klEstimator?: unknown };
  if (klEstimator !== undefined) return { when: 'a KL in the loss', from: 1e-4, to: 1 };
  return typeof beta === 'number' && beta > 0 ? { when: name, from: beta / 10, to: beta * 10 } : undefined;
}

/** Values that may be meant, but rarely are. */
export function unusual(objective: Objective, config: StartConfig, info: PolicyInfo): string[] {
  const { learningRate } = config.training;
  const { when, from, to } = usualRate(objective, config, info);
  const warnings: string[] = [];
  if (learningRate === 0) warnings.push('the learning rate is 0: nothing is trained');
  else if (learningRate < from || learningRate > to) {
    const effect = learningRate > to ? 'the model may fall apart' : 'little may come of it';
    warnings.push(
      `the learning rate ${short(learningRate)} is outside what is usual for ${when}, ${short(from)} to ${short(to)}: ${effect}`,
    );
  }
  const { beta } = config.objective;
  const usual = usualBeta(objective);
  // A weight of 0 takes the term off, which no one does by accident.
  if (typeof beta === 'number' && beta > 0 && usual !== undefined && (beta < usual.from || beta > usual.to)) {
    const effect =
      beta > usual.to ? 'the policy may hardly leave the reference' : 'the policy may go far from the reference';
    warnings.push(
      `beta ${short(beta)} is outside what is usual for ${usual.when}, ${short(usual.from)} to ${short(usual.to)}: ${effect}`,
    );
  }
  return warnings;
}

const short = (value: number) => {
  const rounded = Number(value.toPrecision(3));
  return rounded < 1e-3 ? rounded.toExponential() : String(rounded);
};
