import { scoresOf } from '../rows.js';
import type { CheckPart, SelfCheck } from '../self-check.js';
import { evaluatePart, scoresNeeded, type Task } from '../step.js';
import type { Collected } from './collect.js';
import { type Lessons, lessonPart } from './lessons.js';
import type { OnlineOptions } from './options.js';
import { microBatches } from './rollouts.js';

/**
 * What must hold before the first update, on the first lessons as training scores them:
 *   ratio           π/π_old is 1 on every token           kl      the reference, where it is the start, is the policy
 *   clip fraction   nothing is clipped                    place   a completion's last scored token is its last id
 */
export async function onlineCheck(
  task: Task,
  { rollouts }: Collected,
  lessons: Lessons,
  {
    tolerance,
    fromStart,
    stop,
    ...budget
  }: Pick<OnlineOptions, 'microBatchTokens' | 'microBatchRows'> & {
    readonly tolerance: number;
    /** Whether the reference is the policy's start. */
    readonly fromStart: boolean;
    readonly stop: readonly number[];
  },
): Promise<SelfCheck> {
  const { policy, temperature = 1 } = task;
  const [batch = []] = microBatches(lessons.examples, budget, policy.info);
  if (batch.length === 0) return { passed: true, parts: [], text: 'self-check: no completion to look at' };
  const part = lessonPart(task, lessons, batch);
  const vjp = await policy.vjp({ trees: part.trees, scores: scoresNeeded(task), temperature });
  const scores = scoresOf(vjp.scores);
  await vjp.release();
  const { metrics } = evaluatePart(task, part, scores, { totals: part.totals }, 0);
  const clipped = metrics['clip_ratio/region_mean'];
  const old = lessons.old.logprobs && part.old?.logprobs;
  const parts: CheckPart[] = [
    ...(old ? [found('ratio', worst(part.completionMask, scores.logprobs!, old), tolerance)] : []),
    ...(fromStart && part.reference.logprobs
      ? [found('kl', worst(part.completionMask, scores.logprobs!, part.reference.logprobs), tolerance)]
      : []),
    ...(clipped ? [found('clip fraction', clipped.sum, 0)] : []),
    found('reward place', misplaced(rollouts, stop), 0),
  ];
  const passed = parts.every(({ error, bound }) => error <= bound);
  const told = parts.map(({ name, error }) => `${name} ${error.toExponential(1)}`).join(', ');
  return { passed, parts, text: `self-check on ${part.rows} completions ${passed ? 'passed' : 'FAILED'}: ${told}` };
}

function found(name: CheckPart['name'], error: number, bound: number): CheckPart {
  return { name, error, bound, got: error, expected: 0 };
}

/** Largest |e^(a - b) - 1|. */
function worst(mask: Uint8Array, a: Float64Array, b: Float64Array): number {
  return a.reduce((so, value, at) => (mask[at] ? Math.max(so, Math.abs(Math.expm1(value - b[at]!))) : so), 0);
}

/** Completions whose reward would land elsewhere than on their last token, or that ended without an end token. */
function misplaced(
  { rows, tokens, completionMask, completions }: Collected['rollouts'],
  stop: readonly number[],
): number {
  let wrong = 0;
  for (let row = 0; row < rows; row++) {
    const { ids, ended } = completions[row]!;
    const last = completionMask.subarray(row * tokens, (row + 1) * tokens).lastIndexOf(1);
    if (last !== ids.length - 1 || (ended && !stop.includes(ids.at(-1)!))) wrong++;
  }
  return wrong;
}
