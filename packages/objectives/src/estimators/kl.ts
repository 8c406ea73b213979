import { LARGEST_EXPONENT } from '../numerics.js';

/**
 * Estimators of a KL divergence from one sampled token, d = log π(y_t) - log π_ref(y_t), y_t drawn from π. Schulman
 * 2020, "Approximating KL divergence", for k1, k2, k3. In a reward, without gradient, an estimator counts by its expected
 * value; in a loss, by the expectation of its derivative. These are different divergences:
 *
 *   name         value            slope wrt log π   E_π value                      E_π slope ∇log π = gradient of
 *   k1           d                1                 KL(π ‖ π_ref)                  nothing: it is 0
 *   k2           d²/2             d                 no KL, of second order         KL(π ‖ π_ref)
 *   k3           e^-d - 1 + d     1 - e^-d          KL(π ‖ π_ref)                  KL(π_ref ‖ π)
 *   abs          |d|              sign d            no KL, of first order          2 TV(π, π_ref)
 *   k3-swapped   e^d - 1 - d      e^d - 1           χ²(π ‖ π_ref) - KL(π ‖ π_ref)  χ²(π ‖ π_ref)/2
 *   k1+          d                d                 KL(π ‖ π_ref)                  KL(π ‖ π_ref)
 *   k3+          e^-d - 1 + d     d                 KL(π ‖ π_ref)                  KL(π ‖ π_ref)
 *
 * `k1+` and `k3+` (verl's names) have the value of k1 and k3 and the gradient of k2. The score term k ∇log π, which a
 * reward brings by itself and a loss by a factor π/π_old, makes the gradient of k1 and k3 that of KL(π ‖ π_ref) as well.
 * k3-swapped on samples of π_ref is k3 of KL(π_ref ‖ π); on samples of π it is what several trainers log as their KL.
 */
export const klEstimators = ['k1', 'k2', 'k3', 'abs', 'k3-swapped', 'k1+', 'k3+'] as const;
export type KlEstimator = (typeof klEstimators)[number];

export interface KlEstimate {
  readonly value: number;
  /** d value / d log π(y_t) as it is trained on: of k2 for `k1+` and `k3+`, and 0 where clamped. */
  readonly slope: number;
  readonly clamped: boolean;
}

const formulas: Readonly<Record<KlEstimator, (d: number) => readonly [value: number, slope: number]>> = {
  k1: (d) => [d, 1],
  k2: (d) => [(d * d) / 2, d],
  k3: (d) => [Math.expm1(-d) + d, -Math.expm1(-d)],
  abs: (d) => [Math.abs(d), Math.sign(d)],
  'k3-swapped': (d) => [Math.expm1(d) - d, Math.expm1(d)],
  'k1+': (d) => [d, d],
  'k3+': (d) => [Math.expm1(-d) + d, d],
};

/** Estimators whose gradient is not that of their value. */
export const straightThrough: ReadonlySet<KlEstimator> = new Set(['k1+', 'k3+']);

/**
 * One estimate at d, in nats. `clamp` holds the value to ±clamp with gradient 0 outside: 10 for verl's k3 (whose exponent
 * clamp of 20 is then never met) and for every estimator of OpenRLHF. In `k1+` and `k3+` it holds the value alone; their
 * gradient stays d. d itself is held to ±`LARGEST_EXPONENT` where it is exponentiated.
 */
export function klEstimate(estimator: KlEstimator, logratio: number, clamp = Number.POSITIVE_INFINITY): KlEstimate {
  const d = exponentiated(estimator, logratio);
  const [value, slope] = formulas[estimator](d);
  const held = Math.min(Math.max(value, -clamp), clamp);
  const clamped = held !== value || d !== logratio;
  if (straightThrough.has(estimator)) return { value: held, slope: logratio, clamped };
  return { value: held, slope: clamped ? 0 : slope, clamped };
}

function exponentiated(estimator: KlEstimator, d: number): number {
  if (estimator === 'k3' || estimator === 'k3+') return Math.max(d, -LARGEST_EXPONENT);
  return estimator === 'k3-swapped' ? Math.min(d, LARGEST_EXPONENT) : d;
}
