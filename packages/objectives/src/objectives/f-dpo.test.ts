import { describe, expect, expectTypeOf, test } from 'vitest';
import {
  alphaDivergence,
  type Divergence,
  defineDivergence,
  fDpoThrough,
  forwardKl,
  halfChi2PlusKl,
  isLink,
  jensenShannon,
  type LinkDivergence,
  marginThrough,
  neymanChi2,
  pearsonChi2,
  reverseKl,
  squaredHellinger,
  totalVariation,
} from '../divergences/index.js';
import { meanMetrics } from '../metrics.js';
import { dpo } from './dpo.js';
import { fDpo } from './f-dpo.js';

/** One pair of one-token completions with these logratios. */
function pair(chosen: number, rejected: number) {
  return {
    rows: 2,
    tokens: 1,
    completionMask: Uint8Array.of(1, 1),
    policy: { logprobs: Float64Array.of(chosen - 2, rejected - 2) },
    reference: { logprobs: Float64Array.of(-2, -2) },
  };
}

const ln2 = Math.log(2);

describe('wang2023 table 1, at u = 2 against u = 1 with beta 1', () => {
  test.each([
    ['reverse-kl', ln2],
    ['forward-kl', 1 / 2],
    ['js', Math.log(4 / 3)],
    ['half-chi2-plus-kl', 1 + ln2],
    ['squared-hellinger', 1 - 1 / Math.SQRT2],
    ['neyman-chi2', 3 / 4],
  ] as const)("%s: z = f'(2) - f'(1)", (divergence, z) => {
    const { loss, details } = fDpo.evaluate(pair(ln2, 0), { divergence, beta: 1 });
    expect(details!.logits![0]).toBeCloseTo(z, 14);
    expect(loss).toBeCloseTo(Math.log1p(Math.exp(-z)), 14);
  });

  test('alpha: z = (1 - 2^-alpha)/alpha, its ends reverse and forward KL', () => {
    const at = (alpha: number) =>
      fDpo.evaluate(pair(ln2, 0), { divergence: 'alpha', alpha, beta: 1 }).details!.logits![0];
    expect(at(0.5)).toBeCloseTo(2 - Math.SQRT2, 14);
    expect(at(0)).toBeCloseTo(ln2, 14);
    expect(at(1e-9)).toBeCloseTo(ln2, 8);
    expect(at(1)).toBeCloseTo(0.5, 14);
  });
});

test('reverse KL, the default, is DPO', () => {
  const input = pair(0.7, -0.4);
  const [ours, theirs] = [fDpo, dpo].map((objective) => objective.evaluate(input, { beta: 0.3, labelSmoothing: 0.1 }));
  expect(ours!.loss).toBeCloseTo(theirs!.loss, 15);
  expect(ours!.cotangents.logprobs![0]).toBeCloseTo(theirs!.cotangents.logprobs![0]!, 15);
});

test('log 2 where the policy is the reference, through every link', () => {
  for (const divergence of ['reverse-kl', 'forward-kl', 'js', 'alpha', 'half-chi2-plus-kl', 'neyman-chi2'] as const)
    expect(fDpo.evaluate(pair(0, 0), { divergence }).loss).toBe(Math.LN2);
});

describe('alpha, by convention', () => {
  const logit = (options: object) =>
    fDpo.evaluate(pair(1, -1), { divergence: 'alpha', ...options }).details!.logits![0];

  test("TRL's coefficient is one minus the paper's alpha: they agree at 1/2 alone", () => {
    expect(logit({ alpha: 0.3, alphaConvention: 'trl' })).toBe(logit({ alpha: 0.7 }));
    expect(logit({ alpha: 0.5, alphaConvention: 'trl' })).toBe(logit({ alpha: 0.5 }));
    expect(logit({ alpha: 0.3, alphaConvention: 'trl' })).not.toBe(logit({ alpha: 0.3 }));
  });

  test("TRL's coefficient 1.5: (u^0.5 - 1)/0.5", () => {
    const score = (r: number) => (Math.exp(0.5 * r) - 1) / 0.5;
    expect(logit({ alpha: 1.5, alphaConvention: 'trl', beta: 1 })).toBeCloseTo(score(1) - score(-1), 13);
  });
});

describe('what is claimed', () => {
  const optimum = (options: Parameters<typeof fDpo.resolveOptions>[0]) =>
    fDpo.claims!(fDpo.resolveOptions(options)).optimum;

  test('the optimum of a link', () => {
    expect(optimum({ divergence: 'alpha', alpha: 0.3, alphaConvention: 'trl' })).toBeDefined();
    expect(optimum({ divergence: 'alpha', alpha: 1, alphaConvention: 'trl' })).toBeDefined();
    expect(optimum({ divergence: 'alpha', alpha: 2 })).toBeDefined();
  });

  test("nothing of TRL's coefficients above 1: no link", () => {
    expect(optimum({ divergence: 'alpha', alpha: 1.5, alphaConvention: 'trl' })).toBeUndefined();
    expect(optimum({ divergence: 'alpha', alpha: 2, alphaConvention: 'trl' })).toBeUndefined();
  });

  test('nothing with smoothed labels', () => {
    expect(optimum({ labelSmoothing: 0.1 })).toBeUndefined();
  });
});

describe('logged rewards', () => {
  const rewards = (loggedRewards: 'link' | 'logratio') =>
    meanMetrics(fDpo.evaluate(pair(1, -1), { divergence: 'js', beta: 0.5, loggedRewards }).metrics)['rewards/chosen'];

  test("what the loss implies: beta f'(u)", () => {
    expect(rewards('link')).toBeCloseTo(0.5 * (ln2 - Math.log1p(Math.exp(-1))), 14);
  });

  test('as TRL logs them: beta log u', () => {
    expect(rewards('logratio')).toBe(0.5);
  });
});

describe('exponent cap', () => {
  test('above it a link is flat, and both sides there make a margin of 0', () => {
    const { loss, cotangents } = fDpo.evaluate(pair(-30, -40), { divergence: 'forward-kl', exponentCap: 10 });
    expect(loss).toBe(Math.LN2);
    expect([...cotangents.logprobs!]).toEqual([expect.closeTo(0, 15), expect.closeTo(0, 15)]);
  });

  test('forward KL at logratios of ±1e4, whose exponentials overflow', () => {
    expect(fDpo.evaluate(pair(-1e4, -1e4), { divergence: 'forward-kl' }).loss).toBe(Math.LN2);
    expect(fDpo.evaluate(pair(1e4, -1e4), { divergence: 'forward-kl' }).loss).toBe(0);
  });
});

describe('what theory refuses', () => {
  test('no link is an option', () => {
    expect(() => fDpo.resolveOptions({ divergence: 'pearson-chi2' as 'js' })).toThrowErrorMatchingInlineSnapshot(
      `[ObjectiveError: objective \`f-dpo\`, option \`divergence\`: expected choice reverse-kl | forward-kl | js | alpha | half-chi2-plus-kl | squared-hellinger | neyman-chi2, got "pearson-chi2". The default is "reverse-kl".]`,
    );
    expect(() => fDpo.resolveOptions({ divergence: 'total-variation' as 'js' })).toThrow(/total-variation/);
    expect(() => fDpo.resolveOptions({ alpha: -0.5 })).toThrow(/alpha/);
  });

  test('no link is accepted at run time', () => {
    expect(() => fDpoThrough(pearsonChi2 as unknown as LinkDivergence)).toThrowErrorMatchingInlineSnapshot(
      `[RangeError: f-DPO: expected a divergence with f'(0+) = -Infinity, got \`pearson-chi2\` with -2: its partition term does not cancel within a pair]`,
    );
  });

  test('no link compiles', () => {
    // Read by the compiler alone.
    const refused = () => {
      // @ts-expect-error f'(0+) = -2
      fDpoThrough(pearsonChi2);
      // @ts-expect-error f'(0+) = -1/2
      fDpoThrough(totalVariation);
      // @ts-expect-error f'(0+) = -2: half of Pearson's chi-squared is at -1
      fDpoThrough(alphaDivergence(-0.5));
      // @ts-expect-error one of them is no link
      fDpoThrough(alphaDivergence(0.5 as 0.5 | -0.5));
      // @ts-expect-error nobody knows which alpha it is
      fDpoThrough(alphaDivergence(0.5 as number));
      // @ts-expect-error nobody knows which divergence it is
      fDpoThrough(jensenShannon as Divergence);
      // @ts-expect-error a divergence of one's own that says it is none
      fDpoThrough(defineDivergence<false>(reverseKl as never));
    };
    expect(refused).toBeTypeOf('function');
  });

  test('links compile', () => {
    for (const link of [reverseKl, forwardKl, jensenShannon, halfChi2PlusKl, squaredHellinger, neymanChi2]) {
      expectTypeOf(link).toExtend<LinkDivergence>();
      expect(fDpoThrough(link).evaluate(pair(0, 0)).loss).toBe(Math.LN2);
    }
    expectTypeOf(alphaDivergence(0.3)).toExtend<LinkDivergence>();
    expectTypeOf(alphaDivergence(0.3 as number)).not.toExtend<LinkDivergence>();
    const unknown: Divergence = alphaDivergence(0.3 as number);
    if (!isLink(unknown)) throw new Error('alpha 0.3 is a link');
    expect(fDpoThrough(unknown).evaluate(pair(0, 0)).loss).toBe(Math.LN2);
  });

  test("the bare loss is there for whatever has an f'", () => {
    const { loss, cotangents } = marginThrough(totalVariation).evaluate(pair(1, -1), { beta: 1 });
    expect(loss).toBeCloseTo(Math.log1p(Math.exp(-1)), 14);
    expect([...cotangents.logprobs!].map(Math.abs)).toEqual([0, 0]);
  });
});
