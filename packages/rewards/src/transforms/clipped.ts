import { badOption } from '../error.js';
import { derived, type Reward } from '../reward.js';

export interface ClipOptions {
  readonly name?: string;
  readonly low?: number;
  readonly high?: number;
}

/** Holds a reward to low..high. Where it was clipped, its value differs from the part it came from. */
export function clipped(reward: Reward, { name = `${reward.name}/clipped`, low, high }: ClipOptions): Reward {
  if (low === undefined && high === undefined) throw badOption(name, 'low', 'a number for it or for `high`', undefined);
  const [least, most] = [low ?? Number.NEGATIVE_INFINITY, high ?? Number.POSITIVE_INFINITY];
  if (!(least < most)) throw badOption(name, 'low', `a number below \`high\`, ${high}`, low);
  return derived({
    name,
    members: [reward],
    combine: ([values]) => ({ rewards: values!.map((value) => Math.min(Math.max(value, least), most)) }),
  });
}
