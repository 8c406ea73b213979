import { sigmoid } from '../numerics.js';
import type { Ratio } from './importance.js';

/** Bounds of a surrogate loss. */
export interface ClipOptions {
  /** ε below: a ratio under 1 - ε earns no more where the advantage is negative. */
  readonly clipRangeLow: number;
  /** ε above: a ratio over 1 + ε earns no more where the advantage is positive. */
  readonly clipRangeHigh: number;
  /** c of the dual clip: the loss of a negative advantage is at most c|A|. 0: none. */
  readonly dualClip: number;
  /** Cap of the ratio in the branch that is not clipped: TRL's `delta`. 0: none. */
  readonly ratioCap: number;
}

export interface SurrogateLoss {
  readonly loss: number;
  /** d loss / d log ratio. */
  readonly slope: number;
}

/** What a clip did to one token. */
export interface ClippedLoss extends SurrogateLoss {
  /** The ratio is below 1 - ε and the advantage negative: no gradient. */
  readonly low: boolean;
  /** The ratio is above 1 + ε and the advantage positive: no gradient. */
  readonly high: boolean;
  /** The dual clip holds the loss: no gradient. */
  readonly dual: boolean;
}

/**
 * The clipped surrogate of one token. Schulman et al. 2017, arXiv:1707.06347, eq. 7; ε above apart from ε below ("clip
 * higher") as Yu et al. 2025, arXiv:2503.14476; dual clip as Ye et al. 2019, arXiv:1912.09729.
 *   L = max(-A min(ρ, ratioCap), -A clip(ρ, 1 - ε_low, 1 + ε_high));   A < 0: min(L, -c A)
 *   dL/dlog ρ = -A ρ, or 0 where the branch taken is a bound
 */
export function clippedLoss({ ratio, slope }: Ratio, advantage: number, options: ClipOptions): ClippedLoss {
  const { clipRangeLow, clipRangeHigh, dualClip, ratioCap } = options;
  const cap = ratioCap > 0 ? ratioCap : Number.POSITIVE_INFINITY;
  const [least, most] = [1 - clipRangeLow, 1 + clipRangeHigh];
  const free = -advantage * Math.min(ratio, cap);
  const clipped = -advantage * Math.min(Math.max(ratio, least), most);
  const loss = Math.max(free, clipped);
  const live = free >= clipped ? ratio <= cap : ratio >= least && ratio <= most;
  const dual = dualClip > 0 && advantage < 0 && loss > -dualClip * advantage;
  return {
    loss: dual ? -dualClip * advantage : loss,
    slope: live && !dual ? -advantage * slope : 0,
    low: advantage < 0 && ratio < least,
    high: advantage > 0 && ratio > most,
    dual,
  };
}

/**
 * Soft adaptive policy optimisation: a sigmoid gate in place of the clip. Gao et al. 2025, arXiv:2511.20347.
 *   L = -A (4/τ) σ(τ (ρ - 1)),   dL/dlog ρ = -A 4 σ (1 - σ) ρ        τ of the sign of A
 * The gate's slope is 1 at ρ = 1, as without any clip.
 */
export function softGateLoss({ ratio, slope }: Ratio, advantage: number, temperature: number): SurrogateLoss {
  const z = temperature * (ratio - 1);
  const gate = sigmoid(z);
  return { loss: (-advantage * 4 * gate) / temperature, slope: -advantage * 4 * gate * sigmoid(-z) * slope };
}
