import type { TablePolicy } from '../enumerable/index.js';

/** Truncation of a central difference is h²/6 f''' (4e-11 f''' here), rounding eps |f|/h (1e-11 |f|). */
const STEP = 1.5e-5;

/** The gradient of a function of a table at its logits, by central differences. */
export function differenceGradient(
  loss: (policy: TablePolicy) => number,
  { space, logits }: TablePolicy,
): Float64Array {
  return logits.map((_, at) => {
    const moved = (step: number) =>
      loss({ space, logits: logits.map((logit, i) => (i === at ? logit + step : logit)) });
    return (moved(STEP) - moved(-STEP)) / (2 * STEP);
  });
}

/** The largest difference of two vectors, relative to the largest entry there is, or to `least` if that is smaller. */
export function relativeError(actual: Float64Array, expected: Float64Array, least = 0): number {
  const scale = Math.max(least, ...actual.map(Math.abs), ...expected.map(Math.abs));
  const apart = actual.reduce((most, value, i) => Math.max(most, Math.abs(value - expected[i]!)), 0);
  return apart === 0 ? 0 : apart / scale;
}
