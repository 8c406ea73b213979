import type { Objective } from '@kelpie/objectives';
import type { PolicyInfo } from '@kelpie/policy';
import type { StartConfig } from './config/schema.js';
import { figure } from './print.js';

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
  const preset = (objective.defaults as { beta?: unknown }).beta;
  if (typeof beta === 'number' && typeof preset === 'number' && (beta < preset / 10 || beta > preset * 10)) {
    const effect =
      beta > preset ? 'the policy may hardly leave the reference' : 'the policy may go far from the reference';
    warnings.push(
      `beta ${short(beta)} is outside what is usual for ${objective.name}, ${short(preset / 10)} to ${short(preset * 10)}: ${effect}`,
    );
  }
  return warnings;
}

const short = (value: number) => (value < 1e-3 ? value.toExponential() : figure(value, 3).replace(/\.?0+$/, ''));
