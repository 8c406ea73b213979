import type { RunningMoments } from '@kelpie/objectives';
import { badOption } from '../error.js';
import { hashedUniforms } from '../hash.js';
import { derived, type Reward } from '../reward.js';

export interface PlantedErrorOptions {
  readonly name?: string;
  readonly seed: number;
  /** Of the gold reward on the reference's completions. */
  readonly gold: Pick<RunningMoments, 'mean' | 'deviation'>;
  /** ρ of proxy and gold on the reference's completions, without leaning: in 0..1. */
  readonly correlation: number;
  /** Of Student's t, for heavy tails; Infinity, the default, is Gaussian. */
  readonly degreesOfFreedom?: number;
  /** Added to every row, in deviations of gold. Default 0. */
  readonly bias?: number;
  /** What the error leans on, as length: slope times that reward is added, in deviations of gold. */
  readonly leaning?: { readonly on: Reward; readonly slope: number };
}

/**
 * A proxy with an error of known kind, to study what optimising it does to the gold reward:
 *   proxy = mean + deviation (ρ z + √(1 - ρ²) ε + bias + slope · on),   z = (gold - mean)/deviation
 * ε is standard normal, or Student's t, scaled to variance 1 where it has one (ν > 2; else the correlation is nominal). It
 * depends on the seed, the prompt and the completion alone: the same completion gets the same error each time, as from a
 * reward model. With heavy tails a policy finds completions of high proxy at a small divergence whose gold reward is average
 * (Kwa, Thomas and Garriga-Alonso 2024, arXiv:2407.14503). `NAME/error` is proxy - gold.
 */
export function plantedError(
  gold: Reward,
  { name = `${gold.name}/proxy`, seed, gold: moments, correlation, ...rest }: PlantedErrorOptions,
): Reward {
  const { degreesOfFreedom = Number.POSITIVE_INFINITY, bias = 0, leaning } = rest;
  const { mean, deviation } = moments;
  if (!(correlation >= 0 && correlation <= 1)) throw badOption(name, 'correlation', 'a number in 0..1', correlation);
  if (!(degreesOfFreedom > 0)) throw badOption(name, 'degreesOfFreedom', 'a number above 0', degreesOfFreedom);
  if (!Number.isFinite(bias)) throw badOption(name, 'bias', 'a finite number', bias);
  if (!(deviation > 0 && Number.isFinite(mean + deviation)))
    throw badOption(name, 'gold', 'a finite mean and a deviation above 0', moments);
  const noise = Math.sqrt(1 - correlation ** 2);
  return derived({
    name,
    members: leaning === undefined ? [gold] : [gold, leaning.on],
    parts: [`${name}/error`],
    combine([values, leant], { rows }) {
      const rewards = values!.map((value, row) => {
        const { prompt, completion } = rows[row]!;
        const error = noise === 0 ? 0 : noise * studentT(hashedUniforms(seed, prompt, completion), degreesOfFreedom);
        const slope = leaning === undefined ? 0 : leaning.slope * leant![row]!;
        return mean + deviation * ((correlation * (value - mean)) / deviation + error + bias + slope);
      });
      return { rewards, parts: { [`${name}/error`]: rewards.map((reward, row) => reward - values![row]!) } };
    },
  });
}

/**
 * A draw of Student's t from two uniform numbers, scaled to variance 1 where ν > 2. Bailey 1994, Mathematics of Computation
 * 62(206): √(ν (u^(-2/ν) - 1)) cos 2πv; its limit is Box and Muller's √(-2 log u) cos 2πv.
 */
export function studentT([u, v]: readonly [number, number], degreesOfFreedom: number): number {
  const angle = Math.cos(2 * Math.PI * v);
  if (degreesOfFreedom === Number.POSITIVE_INFINITY) return Math.sqrt(-2 * Math.log(u)) * angle;
  const radius = Math.sqrt(degreesOfFreedom * Math.expm1((-2 / degreesOfFreedom) * Math.log(u)));
  return radius * angle * (degreesOfFreedom > 2 ? Math.sqrt((degreesOfFreedom - 2) / degreesOfFreedom) : 1);
}
