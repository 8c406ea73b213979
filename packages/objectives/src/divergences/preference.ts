import { z } from 'zod';
import { logisticLoss } from '../margin-losses.js';
import { divisor, rowDifferences, rowSums, spreadRows, total } from '../numerics.js';
import { type CheckedInput, defineObjective, type Evaluation, type Objective } from '../objective.js';
import { interleave, marginsOf, pairMetrics } from '../pairs.js';
import { cappedExp, cappedExpSlope, type Divergence, type LinkDivergence } from './divergence.js';

/** What stands in the place of a side's logratio r: a function of it, and its derivative. */
export interface LogratioTransform {
  value(logRatio: number): number;
  slope(logRatio: number): number;
}

/**
 * Which reward is logged, both of the summed logratio r.
 *   link       beta h(r), what the loss compares; unclipped
 *   logratio   beta r, as TRL logs it whatever the divergence is
 */
export type LoggedRewards = 'link' | 'logratio';

export interface TransformedMargin {
  readonly beta: number;
  readonly labelSmoothing?: number;
  /** beta h(r) is held to [-clip, clip], without gradient outside. Default: Infinity. */
  readonly clip?: number;
  readonly loggedRewards?: LoggedRewards;
}

export const linkNeeds = { policy: ['logprobs'], reference: ['logprobs'] } as const;

/**
 * L = mean over pairs of (1-ε) softplus(-z) + ε softplus(z),  z = clip(beta h(r_chosen)) - clip(beta h(r_rejected))
 *   dL/dlogπ(y_t) = ∓ beta/pairs ((1-ε) σ(-z) - ε σ(z)) h'(r) mask_t       - chosen, + rejected; 0 where clipped
 * `details`: `losses`, `logits` z and the logged rewards' `margins`, each [pairs]; `scores` h(r), `implicitRewards` as
 * logged and `sequenceLogprobs`, each [rows].
 */
export function evaluateTransformed(
  input: CheckedInput<typeof linkNeeds>,
  transform: LogratioTransform,
  { beta, labelSmoothing = 0, clip = Number.POSITIVE_INFINITY, loggedRewards = 'link' }: TransformedMargin,
): Evaluation {
  const logRatios = rowDifferences(input, input.policy.logprobs, input.reference.logprobs);
  const scores = logRatios.map((r) => transform.value(r));
  const rewards = scores.map((score) => beta * score);
  const slopes = logRatios.map((r, row) => (Math.abs(rewards[row]!) > clip ? 0 : beta * transform.slope(r)));
  const logits = marginsOf(rewards.map((reward) => Math.min(Math.max(reward, -clip), clip)));
  const losses = Array.from(logits, (logit) => logisticLoss(logit, labelSmoothing));
  const pairs = divisor(input.totals.groups);
  const cotangents = interleave(losses.length, (pair) => {
    const slope = losses[pair]!.slope / pairs;
    return { chosen: scaled(slope, slopes[2 * pair]!), rejected: -scaled(slope, slopes[2 * pair + 1]!) };
  });
  const perPair = Float64Array.from(losses, ({ loss }) => loss);
  const implicitRewards = loggedRewards === 'link' ? rewards : logRatios.map((r) => beta * r);
  return {
    loss: total(perPair) / pairs,
    metrics: pairMetrics(input, implicitRewards),
    cotangents: { logprobs: spreadRows(input, cotangents) },
    details: {
      losses: perPair,
      logits,
      margins: marginsOf(implicitRewards),
      scores,
      implicitRewards,
      sequenceLogprobs: rowSums(input, input.policy.logprobs),
    },
  };
}

/** A pair that is settled to the last digit pulls no more, however steep its link is there: not 0 · Infinity. */
function scaled(slope: number, by: number): number {
  return slope === 0 ? 0 : slope * by;
}

/** A divergence's f' as a transform, its exponentials capped. */
export function linkOf({ derivative, slope }: Divergence, exponentCap: number): LogratioTransform {
  return { value: (r) => derivative(r, exponentCap), slope: (r) => slope(r, exponentCap) };
}

/** Options of every objective whose margin goes through a link. */
export const linkOptions = {
  beta: z.number().positive().default(0.1).describe('Weight of the pull to the reference.'),
  labelSmoothing: z.number().min(0).lt(0.5).default(0).describe('Share of pairs taken to be the wrong way round.'),
  exponentCap: z
    .number()
    .positive()
    .default(80)
    .describe('Exponents of the link are held to this, without gradient above; from 709 on nothing is.'),
  loggedRewards: z
    .enum(['link', 'logratio'])
    .default('link')
    .describe("Rewards logged: beta times the link's score, or beta times the logratio as TRL logs them."),
};

type LinkOptions = z.output<z.ZodObject<typeof linkOptions>>;

/** Throws where the partition term does not cancel within a pair: what the types say, for callers without them. */
export function requireLink(divergence: Divergence): void {
  if (divergence.link) return;
  throw new RangeError(
    `f-DPO: expected a divergence with f'(0+) = -Infinity, got \`${divergence.name}\` with ${divergence.range[0]}: its ` +
      'partition term does not cancel within a pair',
  );
}

/**
 * f-DPO through one divergence, as an objective of its own: `fDpoThrough(jensenShannon)`, or a divergence of one's own by
 * `defineDivergence<true>`. Wang et al. 2023, arXiv:2309.16240. Takes only what can be a link (see `Divergence.link`);
 * the others do not compile, and throw where types are not checked.
 */
export function fDpoThrough(divergence: LinkDivergence): Objective<LinkOptions> {
  requireLink(divergence);
  return marginThrough(divergence);
}

const transformOptions = {
  beta: linkOptions.beta,
  labelSmoothing: linkOptions.labelSmoothing,
  clip: z
    .number()
    .min(0)
    .default(0)
    .describe("Each side's beta times transform is held to this, without gradient outside; 0 clips nothing."),
  loggedRewards: linkOptions.loggedRewards,
};

/** The loss of `evaluateTransformed` through any function of the logratio: nothing is known of where it ends. */
export function marginThroughTransform(
  transform: LogratioTransform,
): Objective<z.output<z.ZodObject<typeof transformOptions>>> {
  return defineObjective({
    name: 'transformed-margin',
    title: 'Logistic loss on the margin of a function of the logratio',
    summary: 'Raises a function of the logratio of chosen over that of rejected.',
    paper: 'Wang et al. 2023, arXiv:2309.16240',
    rows: 'pairs',
    separable: true,
    needs: linkNeeds,
    options: transformOptions,
    atReference: () => Math.LN2,
    evaluate: (input, { clip, ...options }) =>
      evaluateTransformed(input, transform, { ...options, clip: clip === 0 ? Number.POSITIVE_INFINITY : clip }),
  });
}

/** φ(r) = chi2Weight exp(min(a r, exponentCap)) + klWeight r, a = `ratioExponent`. */
export interface RatioTransform {
  readonly chi2Weight: number;
  readonly klWeight: number;
  /** Default 1. */
  readonly ratioExponent?: number;
  /** Default: Infinity. */
  readonly exponentCap?: number;
}

/** The φ of chi-PO. Huang et al. 2024, arXiv:2407.13399; a link where `klWeight` is above 0. */
export function ratioTransform({
  chi2Weight,
  klWeight,
  ratioExponent = 1,
  exponentCap = Number.POSITIVE_INFINITY,
}: RatioTransform): LogratioTransform {
  return {
    value: (r) => chi2Weight * cappedExp(ratioExponent * r, exponentCap) + klWeight * r,
    slope: (r) => chi2Weight * ratioExponent * cappedExpSlope(ratioExponent * r, exponentCap) + klWeight,
  };
}

/**
 * The loss that f-DPO would have through any f', link or not. With what is no link its optimum is not that of the
 * reward minus beta D_f; it is here because published code computes it and numbers have to be comparable.
 */
export function marginThrough(divergence: Divergence): Objective<LinkOptions> {
  return defineObjective({
    name: `f-dpo-${divergence.name}`,
    title: `Logistic loss on the margin of f', ${divergence.title}`,
    summary: `Raises f' of the ratio of chosen over that of rejected, f being that of ${divergence.name}.`,
    paper: 'Wang et al. 2023, arXiv:2309.16240',
    rows: 'pairs',
    separable: true,
    needs: linkNeeds,
    options: linkOptions,
    atReference: () => Math.LN2,
    evaluate: (input, options) => evaluateTransformed(input, linkOf(divergence, options.exponentCap), options),
  });
}
