import type { Grid } from '@kelpie/objectives';
import { scoresOf } from '../rows.js';
import type { CheckPart, SelfCheck } from '../self-check.js';
import { evaluatePart, scoresNeeded, type Task } from '../step.js';
import type { Collected } from './collect.js';
import { type Lessons, lessonPart } from './lessons.js';
import type { OnlineOptions } from './options.js';
import { shape } from './penalties.js';
import { microBatches } from './rollouts.js';

/**
 * What must hold before the first update, on the first lessons as training scores them:
 *   ratio           π/π_old is 1 on every token           kl       the reference, where it is the start, is the policy
 *   clip fraction   nothing is clipped                    values   a head's values are those that advantages were made of
 *   reward place    a completion's last scored token is its last id, and its reward stands there and nowhere else
 */
export async function onlineCheck(
  task: Task,
  { rollouts }: Collected,
  lessons: Lessons,
  {
    tolerance,
    fromStart,
    stop,
    ...options
  }: OnlineOptions & {
    readonly tolerance: number;
    /** Whether the reference is the policy's start. */
    readonly fromStart: boolean;
    readonly stop: readonly number[];
  },
): Promise<SelfCheck> {
  const { policy, temperature = 1 } = task;
  const [batch = []] = microBatches(lessons.examples, options, policy.info);
  if (batch.length === 0) return { passed: true, parts: [], text: 'self-check: no completion to look at' };
  const part = lessonPart(task, lessons, batch);
  const vjp = await policy.vjp({ trees: part.trees, scores: scoresNeeded(task), temperature });
  const scores = scoresOf(vjp.scores);
  await vjp.release();
  // Old scores may come of the very pass that trains: then this one says that without a gradient they are the same.
  const alone = scoresOf(await policy.score({ trees: part.trees, scores: ['logprobs'], temperature }));
  const { metrics } = evaluatePart(task, part, scores, { totals: part.totals }, 0);
  const clipped = metrics['clip_ratio/region_mean'];
  const old = lessons.old.logprobs && part.old?.logprobs;
  const apart = (old: Float64Array) =>
    Math.max(...[scores, alone].map(({ logprobs }) => worst(part.completionMask, logprobs!, old)));
  const moved = scores.values && part.old?.values && farthest(part.completionMask, scores.values, part.old.values);
  const parts: CheckPart[] = [
    ...(old ? [found('ratio', apart(old), tolerance)] : []),
    ...(moved === undefined ? [] : [found('values', moved, tolerance)]),
    ...(fromStart && part.reference.logprobs
      ? [found('kl', worst(part.completionMask, scores.logprobs!, part.reference.logprobs), tolerance)]
      : []),
    ...(clipped ? [found('clip fraction', clipped.sum, 0)] : []),
    found('reward place', misplaced(rollouts, stop, options), 0),
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

/** Largest |a - b|, relative to |b| where that is above 1. */
function farthest(mask: Uint8Array, a: Float64Array, b: Float64Array): number {
  const error = (at: number) => Math.abs(a[at]! - b[at]!) / Math.max(1, Math.abs(b[at]!));
  return a.reduce((so, _, at) => (mask[at] ? Math.max(so, error(at)) : so), 0);
}

/** What of a completion tells where its reward belongs. */
type Ends = Pick<Collected['rollouts'], 'ended'> & {
  readonly completions: readonly { readonly ids: readonly number[]; readonly ended: boolean }[];
};

/**
 * Completions whose last scored token is not their last id, which ended without an end token, or whose reward would land
 * elsewhere than on that token. Completions stand at the left of their rows.
 */
export function misplaced(
  { rows, tokens, completionMask, completions, ended }: Grid & Ends,
  stop: readonly number[],
  { rewardClip: _, missingEos: __, ...options }: Parameters<typeof shape>[2],
): number {
  const none = new Float64Array(rows * tokens);
  const judged = { rows, tokens, completionMask, logprobs: none, ended };
  const place = (reward: number) =>
    shape({ ...judged, rewards: new Float64Array(rows).fill(reward) }, 0, options).tokenRewards;
  const [without, earned] = [place(0), place(1)];
  let wrong = 0;
  for (let row = 0; row < rows; row++) {
    const own = completions[row]!;
    const at = (token: number) => row * tokens + token;
    const last = completionMask.subarray(at(0), at(tokens)).lastIndexOf(1);
    const ends =
      last === own.ids.length - 1 && own.ended === (ended[row] === 1) && (!own.ended || stop.includes(own.ids.at(-1)!));
    const placed = Array.from({ length: tokens }, (_, token) => earned[at(token)]! - without[at(token)]!);
    if (!ends || placed.some((value, token) => value !== (token === last ? 1 : 0))) wrong++;
  }
  return wrong;
}
