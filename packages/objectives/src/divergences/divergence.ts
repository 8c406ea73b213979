/**
 * An f-divergence D_f(p ‖ q) = E_q f(u), u = p/q, with f convex and f(1) = 0. For a policy, p is the policy and q the
 * reference; everything reads r = log u, so that no ratio has to be formed. Constants of f' are those of the formula in
 * each file: `reverseKl` and `forwardKl` have f'(1) = ±1, the others 0 (`halfChi2PlusKl` 1).
 *
 * `Link` tells whether f' can stand in a DPO loss: see `link`.
 */
export interface Divergence<Link extends boolean = boolean> {
  /** As in options: `reverse-kl`, `js`. */
  readonly name: string;
  /** The formula: f(u), and what it is called. */
  readonly title: string;
  readonly paper: string;
  /**
   * Whether f'(0+) = -Infinity with f' strictly increasing. Then the optimum of E_p reward - beta D_f(p ‖ q) is positive
   * wherever q is, so reward = beta f'(u) + a constant of the prompt, and the constant cancels within a pair. Where f'(0+)
   * is finite the optimum leaves out completions, a multiplier of its own stands in each one's equation, and nothing
   * cancels. Wang et al. 2023, arXiv:2309.16240, theorem 1.
   */
  readonly link: Link;
  /** f'(0+) and f'(∞): infimum and supremum of f'. f'(∞) is also lim f(u)/u. */
  readonly range: readonly [infimum: number, supremum: number];
  /** f(0+). */
  readonly atZero: number;
  /** f''(1): near u = 1, D_f is half of it times chi-squared. NaN where f has a kink there. */
  readonly curvature: number;
  /** f(e^r). */
  f(logRatio: number): number;
  /**
   * h(r) = f'(e^r). With `exponentCap` each exponential of a multiple of r is exp(min(multiple, cap)): finite whatever r is
   * where the cap is below 709.
   */
  derivative(logRatio: number, exponentCap?: number): number;
  /** h'(r) = e^r f''(e^r), without the part of an exponential that is above its cap. */
  slope(logRatio: number, exponentCap?: number): number;
  /** log of (f')^{-1}(v); NaN where v is no value of f'. -Infinity where u = 0 is one. */
  logInverse(value: number): number;
  /** q f(p/q), the term of one outcome. p = 0: q f(0+); q = 0: p f'(∞); both: 0. */
  perspective(logP: number, logQ: number): number;
  /** p f'(p/q); 0 where p = 0. */
  weightedDerivative(logP: number, logQ: number): number;
  /**
   * D_f(p ‖ q) over all outcomes, and its gradient at the logits of p = softmax(logits):
   *   dD/dlogit_v = p_v (f'(u_v) - E_p f'(u))
   * `logP` and `logQ` are log-probabilities, each [outcomes], normalised; -Infinity is an outcome that cannot happen,
   * whose gradient is 0. Where one side alone rules an outcome out the value may be Infinity: then the gradient is that of
   * the other outcomes, or NaN if theirs is not finite either.
   */
  exact(logP: Float64Array, logQ: Float64Array): ExactDivergence;
}

/** A divergence whose f' may link reward and policy in a DPO loss. */
export type LinkDivergence = Divergence<true>;

export interface ExactDivergence {
  readonly value: number;
  /** [outcomes]; sums to 0. */
  readonly gradient: Float64Array;
}

/** Whether the partition term cancels: narrows the type. */
export function isLink(divergence: Divergence): divergence is LinkDivergence {
  return divergence.link;
}

/**
 * log u of the optimum at v = (reward - normaliser)/beta: `logInverse`, but where v is below all of f' the outcome is left
 * out (-Infinity), and where it is above all of f' there is no bound (Infinity).
 */
export function logOptimum({ range: [infimum, supremum], logInverse }: Divergence, value: number): number {
  if (value <= infimum) return Number.NEGATIVE_INFINITY;
  return value >= supremum ? Number.POSITIVE_INFINITY : logInverse(value);
}

/** What a file says of its divergence; both functions of log p and log q need only finite ones. */
export type DivergenceDefinition<Link extends boolean> = Omit<Divergence<Link>, 'f' | 'exact'>;

/** A divergence from its formulas: adds outcomes of probability 0, f itself, and sums over outcomes. */
export function defineDivergence<Link extends boolean>(definition: DivergenceDefinition<Link>): Divergence<Link> {
  const { range, atZero } = definition;
  const perspective = (logP: number, logQ: number) => {
    if (logP === Number.NEGATIVE_INFINITY) return logQ === logP ? 0 : Math.exp(logQ) * atZero;
    return logQ === Number.NEGATIVE_INFINITY ? Math.exp(logP) * range[1] : definition.perspective(logP, logQ);
  };
  const weightedDerivative = (logP: number, logQ: number) => {
    if (logP === Number.NEGATIVE_INFINITY) return 0;
    return logQ === Number.NEGATIVE_INFINITY ? Math.exp(logP) * range[1] : definition.weightedDerivative(logP, logQ);
  };
  return {
    ...definition,
    f: (logRatio) => perspective(logRatio, 0),
    perspective,
    weightedDerivative,
    exact(logP, logQ) {
      if (logP.length !== logQ.length) throw new RangeError(`${logP.length} outcomes of p, ${logQ.length} of q`);
      let value = 0;
      let mean = 0;
      const gradient = new Float64Array(logP.length);
      for (let at = 0; at < logP.length; at++) {
        const weighted = weightedDerivative(logP[at]!, logQ[at]!);
        gradient[at] = weighted;
        mean += weighted;
        value += perspective(logP[at]!, logQ[at]!);
      }
      for (let at = 0; at < logP.length; at++) {
        if (logP[at] !== Number.NEGATIVE_INFINITY) gradient[at]! -= Math.exp(logP[at]!) * mean;
      }
      return { value, gradient };
    },
  };
}

/** e^base (e^x - 1), also where e^x overflows and the product does not. */
export function scaledExpm1(base: number, x: number): number {
  return Math.abs(x) < 1 ? Math.exp(base) * Math.expm1(x) : Math.exp(base + x) - Math.exp(base);
}

/** exp(min(x, cap)). */
export function cappedExp(x: number, cap: number): number {
  return Math.exp(Math.min(x, cap));
}

/** d exp(min(x, cap)) / dx: 0 above the cap. */
export function cappedExpSlope(x: number, cap: number): number {
  return x > cap ? 0 : Math.exp(x);
}
