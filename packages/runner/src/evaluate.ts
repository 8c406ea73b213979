import { type Mean, type Metrics, meanMetrics } from '@kelpie/objectives';
import { KelpieError, type ScoreName } from '@kelpie/policy';
import { calibrationOf, judgesSequences } from './judged.js';
import type { Part } from './rows.js';
import { measure, sumOver, type Task } from './step.js';

export interface EvaluateOptions extends Task {
  /** Held-out rows, split as memory wants it. */
  readonly parts: readonly Part[];
  /** For messages. */
  readonly step: number;
  readonly entropy?: boolean;
  /** Exact divergences from the reference: two scores over the whole vocabulary. Default true. */
  readonly divergence?: boolean;
}

/**
 * Held-out loss and metrics under TRL's names: `eval_loss`, `eval_rewards/accuracies` ... and the exact divergence from
 * the reference. Both divergences are means over completions of sums over tokens, the whole vocabulary at each:
 *   divergence/kl_exact    Σ_t KL(policy ‖ reference)     score `reverseKl`
 *   divergence/forward_kl  Σ_t KL(reference ‖ policy)     score `forwardKl`
 * What judges sequences has neither; of pairs it tells `eval_calibration/ece`, see `preferenceCalibrationError`.
 */
export async function evaluate(options: EvaluateOptions): Promise<Record<string, number>> {
  const { parts, step, objective, objectiveOptions } = options;
  const judges = judgesSequences(objective.needsOf(objectiveOptions));
  const { entropy = !judges, divergence = !judges } = options;
  const more: ScoreName[] = [...(entropy ? ['entropy' as const] : []), ...(divergence ? divergences : [])];
  const { loss, metrics, scores } = await measure(options, parts, { step, more });
  const named = Object.entries(meanMetrics(metrics)).map(([name, value]) => [`eval_${name}`, value]);
  const distances: Metrics = divergence
    ? {
        'divergence/kl_exact': sequenceMean(
          parts,
          scores.map(({ reverseKl }) => reverseKl!),
        ),
        'divergence/forward_kl': sequenceMean(
          parts,
          scores.map(({ forwardKl }) => forwardKl!),
        ),
      }
    : {};
  const calibration =
    judges && objective.rows === 'pairs'
      ? {
          'eval_calibration/ece': calibrationOf(
            parts,
            scores.map(({ values }) => values!),
          ),
        }
      : {};
  return { eval_loss: loss, ...Object.fromEntries(named), ...meanMetrics(distances), ...calibration };
}

const divergences = ['reverseKl', 'forwardKl'] as const;

function sequenceMean(parts: readonly Part[], values: readonly Float64Array[]): Mean {
  return {
    sum: parts.reduce((sum, part, i) => sum + sumOver(part, values[i]!), 0),
    count: parts.reduce((count, { rows }) => count + rows, 0),
  };
}

/** Whether an error says that the policy holds no reference any more. */
export function isWithoutReference(error: unknown): boolean {
  return error instanceof KelpieError && error.code === 'no-reference';
}
