import { cappedExpSlope, type Divergence, defineDivergence, scaledExpm1 } from './divergence.js';

/** Whether `alphaDivergence(A)` links: no literal below 0 does; of a plain `number` only a check at run time can tell. */
export type AlphaLinks<A extends number> = A extends number
  ? number extends A
    ? boolean
    : `${A}` extends `-${string}`
      ? false
      : true
  : never;

/**
 * Alpha divergence, `alpha` = a as Wang et al. 2023, arXiv:2309.16240, write it; by continuity at both ends: a = 0 is
 * KL(p ‖ q) and a = 1 is KL(q ‖ p), both with f'(1) = 0.
 *   f = (u^{1-a} - (1-a)u - a)/(a(a-1)),  f' = (1 - u^{-a})/a,  f'(e^r) = (1 - e^{-ar})/a
 *   (f')^{-1}(v) = (1 - av)^{-1/a} for av < 1
 *   D(p ‖ q) = (1 - Σ p^{1-a} q^a)/(a(1-a));  dD/dlogit = (p S - p^{1-a} q^a)/a with S that sum
 * The paper has a in (0, 1). f is convex for every a; a link is what has a >= 0, since f'(0+) = 1/a below. a = -1 is half
 * of Pearson's chi-squared, a = 1/2 twice the squared Hellinger divergence, a = 2 half of Neyman's chi-squared.
 * TRL's coefficient is 1 - a: see `alphaFromTrl`.
 */
export function alphaDivergence<const A extends number>(alpha: A): Divergence<AlphaLinks<A>> {
  if (!Number.isFinite(alpha)) throw new RangeError(`alpha: expected a finite number, got ${alpha}`);
  const a: number = alpha;
  return defineDivergence({
    name: 'alpha',
    title: `Alpha divergence, (u^{1-a} - (1-a)u - a)/(a(a-1)) at a = ${a}`,
    paper: 'Wang et al. 2023, arXiv:2309.16240',
    link: (a >= 0) as AlphaLinks<A>,
    range: [a < 0 ? 1 / a : Number.NEGATIVE_INFINITY, a > 0 ? 1 / a : Number.POSITIVE_INFINITY],
    atZero: a < 1 ? 1 / (1 - a) : Number.POSITIVE_INFINITY,
    curvature: 1,
    derivative: (r, cap = Number.POSITIVE_INFINITY) => (a === 0 ? r : -Math.expm1(Math.min(-a * r, cap)) / a),
    slope: (r, cap = Number.POSITIVE_INFINITY) => cappedExpSlope(-a * r, cap),
    logInverse: (v) => logInverse(a, v),
    perspective: (logP, logQ) => perspective(a, logP, logQ),
    weightedDerivative: (logP, logQ) => expm1Over(logP, -a, logP - logQ),
  });
}

function logInverse(a: number, v: number): number {
  if (a === 0) return v;
  if (a * v < 1) return -Math.log1p(-a * v) / a;
  return a < 0 && a * v === 1 ? Number.NEGATIVE_INFINITY : Number.NaN;
}

/** From whichever side keeps digits as its end of [0, 1] comes near: divided by 1 - a from p's side, by a from q's. */
function perspective(a: number, logP: number, logQ: number): number {
  const r = logP - logQ;
  // Only a bare u is so large; both parts of f would overflow, and their difference be no number.
  if (Math.exp(logP) === Number.POSITIVE_INFINITY) return Number.POSITIVE_INFINITY;
  if (a <= 0.5) return (scaledExpm1(logP, -r) + expm1Over(logP, -a, r)) / (1 - a);
  return (scaledExpm1(logQ, r) - expm1Over(logQ, 1 - a, r)) / a;
}

/** e^base (e^{kr} - 1)/k; e^base r at k = 0. */
function expm1Over(base: number, k: number, r: number): number {
  return k === 0 ? Math.exp(base) * r : scaledExpm1(base, k * r) / k;
}

/** The paper's alpha of TRL's `f_alpha_divergence_coef` c: its code has f'(u) = (u^{c-1} - 1)/(c-1), so a = 1 - c. */
export function alphaFromTrl(coefficient: number): number {
  return 1 - coefficient;
}

/** TRL's `f_alpha_divergence_coef` of the paper's alpha. */
export function alphaToTrl(alpha: number): number {
  return 1 - alpha;
}
