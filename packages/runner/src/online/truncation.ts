import { divisor, type Objective } from '@kelpie/objectives';
import { KelpieError } from '@kelpie/policy';
import type { RolloutScores } from './metrics.js';
import type { OnlineOptions } from './options.js';
import type { Rollouts } from './rollouts.js';
import type { OnlineRun } from './run.js';
import type { Take } from './take.js';
import { isTargeted } from './targets.js';

type Truncation = Pick<OnlineOptions, 'topK' | 'topP' | 'minP'>;

export function isTruncated({ topK, topP = 1, minP = 0 }: Truncation): boolean {
  return topK !== undefined || topP < 1 || minP > 0;
}

/**
 * How far the distribution that completions were drawn from is from the policy's, whose log-probabilities are in every ratio
 * and divergence: `sampler/truncation_kl`, mean over completions of log drawn(y) - log π(y), nats; KL(drawn ‖ π) without bias.
 * Ratios still begin at 1; expectations over completions, rewards and divergences among them, are of the truncated policy.
 */
export function truncationMetrics(
  { tokens, completions }: Pick<Rollouts, 'tokens' | 'completions'>,
  { logprobs }: Pick<RolloutScores, 'logprobs'>,
  options: Truncation,
): Readonly<Record<string, number>> {
  if (!isTruncated(options)) return {};
  let sum = 0;
  completions.forEach(({ drawnLogprobs }, row) => {
    drawnLogprobs?.forEach((logprob, token) => {
      sum += logprob - logprobs[row * tokens + token]!;
    });
  });
  return { 'sampler/truncation_kl': sum / divisor(completions.length) };
}

/** Refuses what would be drawn otherwise than it says, or whose weights would be of another distribution. */
export function requireDrawable(
  { objective, engine, policy }: Pick<OnlineRun, 'engine' | 'policy'> & { readonly objective: Objective },
  options: Truncation & Pick<OnlineOptions, 'dynamicSampling'> & { readonly take: Take },
  objectiveOptions: Readonly<Record<string, unknown>>,
): void {
  const refuse = (message: string, option: string) => {
    throw new KelpieError(message, { code: 'bad-option', where: { option } });
  };
  if (!isTruncated(options)) return;
  const option = options.topK !== undefined ? 'topK' : options.topP !== undefined ? 'topP' : 'minP';
  if (engine !== undefined && engine.name !== 'in-process') {
    refuse(`the engine \`${engine.name}\` draws from the whole vocabulary: leave \`${option}\` out`, option);
  }
  if (isTargeted(objective, objectiveOptions)) {
    refuse(
      `the objective \`${objective.name}\` weighs completions by the probability they were drawn with, to all of the vocabulary: leave \`${option}\` out`,
      option,
    );
  }
  const { vocabularySize } = policy.info;
  if (options.topK !== undefined && options.topK > vocabularySize) {
    refuse(`\`topK\` is ${options.topK}, and the vocabulary has ${vocabularySize} tokens`, 'topK');
  }
}
