import { describe, expect, test } from 'vitest';
import { logSoftmax } from '../numerics.js';
import { type Random, seeded } from '../testing/random.js';
import { alphaDivergence, alphaFromTrl, alphaToTrl } from './alpha.js';
import { type Divergence, isLink, logOptimum } from './divergence.js';
import { forwardKl } from './forward-kl.js';
import { halfChi2PlusKl } from './half-chi2-plus-kl.js';
import { jensenShannon } from './jensen-shannon.js';
import { neymanChi2 } from './neyman-chi2.js';
import { pearsonChi2 } from './pearson-chi2.js';
import { reverseKl } from './reverse-kl.js';
import { squaredHellinger } from './squared-hellinger.js';
import { totalVariation } from './total-variation.js';

const { NEGATIVE_INFINITY, POSITIVE_INFINITY } = Number;
const alphas = [-1, -0.5, 0, 1e-12, 0.3, 0.5, 0.7, 1 - 1e-12, 1, 2] as const;
const all: readonly (readonly [string, Divergence])[] = [
  ...[reverseKl, forwardKl, jensenShannon, pearsonChi2, halfChi2PlusKl].map((row) => [row.name, row] as const),
  ...[squaredHellinger, neymanChi2, totalVariation].map((row) => [row.name, row] as const),
  ...alphas.map((a) => [`alpha ${a}`, alphaDivergence(a)] as const),
];

/** Runs a property at many random draws, and says which seed failed. */
function holds(property: (random: Random) => void, draws = 200): void {
  for (let draw = 0; draw < draws; draw++) {
    const seed = 20230916 + draw;
    try {
      property(seeded(seed));
    } catch (cause) {
      throw new Error(`seed ${seed}: ${cause instanceof Error ? cause.message : cause}`, { cause });
    }
  }
}

const between = (random: Random, low: number, high: number) => low + (high - low) * random();
const near = (got: number, wanted: number, relative: number, absolute = relative) =>
  expect(Math.abs(got - wanted), `${got}, not ${wanted}`).toBeLessThanOrEqual(absolute + relative * Math.abs(wanted));
const distribution = (random: Random, outcomes: number, spread = 2) =>
  logSoftmax(Float64Array.from({ length: outcomes }, () => between(random, -spread, spread)));

describe("constants of f': f'(1)", () => {
  test.each([
    [reverseKl, 1],
    [forwardKl, -1],
    [jensenShannon, 0],
    [pearsonChi2, 0],
    [halfChi2PlusKl, 1],
    [squaredHellinger, 0],
    [neymanChi2, 0],
    [totalVariation, 0],
    [alphaDivergence(0.3), 0],
    [alphaDivergence(0), 0],
    [alphaDivergence(1), 0],
  ] as const)('$0.name', (divergence, wanted) => {
    expect(divergence.derivative(0) + 0).toBe(wanted);
  });
});

describe("f, f' and its inverse at u = 4", () => {
  const r = Math.log(4);
  test.each([
    [reverseKl, 4 * r, r + 1],
    [forwardKl, -r, -1 / 4],
    [jensenShannon, 4 * r - 5 * Math.log(5 / 2), Math.log(8 / 5)],
    [pearsonChi2, 9, 6],
    [halfChi2PlusKl, 9 / 2 + 4 * r, 4 + r],
    [squaredHellinger, 1, 1 / 2],
    [neymanChi2, 9 / 4, 15 / 16],
    [totalVariation, 3 / 2, 1 / 2],
    [alphaDivergence(0.5), 2, 1],
    [alphaDivergence(-1), 9 / 2, 3],
    [alphaDivergence(2), 9 / 8, 15 / 32],
    [alphaDivergence(0), 4 * r - 3, r],
    [alphaDivergence(1), 3 - r, 3 / 4],
  ] as const)('$0.name', (divergence, f, derivative) => {
    near(divergence.f(r), f, 1e-14);
    near(divergence.derivative(r), derivative, 1e-14);
    if (divergence !== totalVariation) near(divergence.logInverse(derivative), r, 1e-13);
  });
});

describe.each(all)('%s', (_, divergence) => {
  const { f, derivative, slope, logInverse, range, curvature } = divergence;

  test('f(1) = 0', () => {
    expect(f(0) + 0).toBe(0);
  });

  test('finite or Infinity, never NaN, at logratios of ±1e4', () => {
    for (const r of [-1e4, 1e4]) {
      expect([f(r), derivative(r), slope(r)].some(Number.isNaN)).toBe(false);
      expect(f(r)).not.toBe(NEGATIVE_INFINITY);
    }
  });

  test('convex: every chord is above', () => {
    holds((random) => {
      const [u, v, share] = [Math.exp(between(random, -4, 4)), Math.exp(between(random, -4, 4)), random()];
      const chord = share * f(Math.log(u)) + (1 - share) * f(Math.log(v));
      expect(f(Math.log(share * u + (1 - share) * v))).toBeLessThanOrEqual(chord + 1e-12 * (1 + Math.abs(chord)));
    });
  });

  test("f' is f's central difference, and slope that of f'", () => {
    holds((random) => {
      const r = between(random, -4, 4);
      const step = 1e-5;
      if (Math.abs(r) < 2 * step) return;
      // d f(e^r)/dr = e^r f'(e^r); truncation h²/6 f''' and rounding eps |f|/h, as the largest of both.
      const scale = Math.abs(f(r)) + Math.exp(Math.abs(2 * r)) + 1;
      near((f(r + step) - f(r - step)) / (2 * step), Math.exp(r) * derivative(r), 1e-8, 1e-9 * scale);
      near((derivative(r + step) - derivative(r - step)) / (2 * step), slope(r), 1e-8, 1e-9 * scale);
    });
  });

  test("f' stays in its range, f tends to its end at 0, and the range tells whether it is a link", () => {
    holds((random) => {
      const value = derivative(between(random, -300, 300));
      expect(value).toBeGreaterThanOrEqual(range[0]);
      expect(value).toBeLessThanOrEqual(range[1]);
    });
    expect(isLink(divergence)).toBe(range[0] === NEGATIVE_INFINITY);
    // Its end is reached slowly where it is far up.
    if (divergence.atZero < 1e3) near(f(-700), divergence.atZero, 1e-9);
    expect(f(NEGATIVE_INFINITY)).toBe(divergence.atZero);
  });

  test("inverse of f'", () => {
    if (divergence === totalVariation) {
      expect([-1, -0.5, 0, 0.5].map(logInverse)).toEqual([Number.NaN, Number.NaN, Number.NaN, Number.NaN]);
      return;
    }
    holds((random) => {
      const r = between(random, -5, 5);
      // One ulp of f' moves the inverse by ulp / slope: the bound grows where f' flattens.
      near(logInverse(derivative(r)), r, 1e-12, (1e-14 * (1 + Math.abs(derivative(r)))) / slope(r));
    });
    if (Number.isFinite(range[0])) expect(logInverse(range[0] - 0.1)).toBeNaN();
    if (Number.isFinite(range[1])) expect(logInverse(range[1] + 0.1)).toBeNaN();
  });

  test('the optimum leaves out what is below the range, and has no bound above it', () => {
    const [low, high] = range;
    if (Number.isFinite(low)) expect(logOptimum(divergence, low - 1)).toBe(NEGATIVE_INFINITY);
    if (Number.isFinite(high)) expect(logOptimum(divergence, high + 1)).toBe(POSITIVE_INFINITY);
    if (divergence !== totalVariation) near(logOptimum(divergence, derivative(0.5)), 0.5, 1e-12);
  });

  test('capped: as without a cap below it, and flat where its exponential is above', () => {
    const none = [-2, 0, 2].map((r) => [derivative(r), slope(r)]);
    expect([-2, 0, 2].map((r) => [derivative(r, 50), slope(r, 50)])).toEqual(none);
    for (const r of [-1e4, 1e4]) {
      expect(Number.isFinite(derivative(r, 80))).toBe(true);
      near(derivative(r + 1, 5) - derivative(r, 5), slope(r, 5), 1e-9);
    }
  });

  test('exact: Σ q f(p/q), its gradient the central difference at the logits of p, summing to 0', () => {
    holds((random) => {
      const logits = Float64Array.from({ length: 5 }, () => between(random, -2, 2));
      const logQ = distribution(random, 5);
      const logP = logSoftmax(logits);
      const { value, gradient } = divergence.exact(logP, logQ);
      const sum = logP.reduce((so, lp, v) => so + Math.exp(logQ[v]!) * f(lp - logQ[v]!), 0);
      near(value, sum, 1e-12);
      near(
        gradient.reduce((so, x) => so + x, 0),
        0,
        0,
        1e-12 * (1 + value),
      );
      const step = 1e-5;
      for (const v of logits.keys()) {
        const at = (by: number) => {
          const moved = Float64Array.from(logits);
          moved[v]! += by;
          return divergence.exact(logSoftmax(moved), logQ).value;
        };
        near((at(step) - at(-step)) / (2 * step), gradient[v]!, 1e-6, 1e-8 * (1 + value));
      }
    }, 20);
  });

  test('0 where both agree, without gradient; else never below', () => {
    holds((random) => {
      const logP = distribution(random, 6);
      const { value, gradient } = divergence.exact(logP, logP);
      near(value, 0, 0, 1e-15);
      for (const entry of gradient) near(entry, 0, 0, 1e-15);
      expect(divergence.exact(logP, distribution(random, 6)).value).toBeGreaterThan(0);
    }, 50);
  });

  test('curvature: near the reference half of it times chi-squared', () => {
    if (divergence === totalVariation) return expect(curvature).toBeNaN();
    holds((random) => {
      const logQ = distribution(random, 4, 1);
      const logP = logSoftmax(logQ.map((value) => value + 1e-4 * between(random, -1, 1)));
      const [value, chi2] = [divergence, pearsonChi2].map(({ exact }) => exact(logP, logQ).value);
      // The third order is 1e-4 of the second; rounding of a sum of order 1 is 1e-16, of the value 1e-8 at best.
      near(value!, (curvature / 2) * chi2!, 1e-3, 1e-15);
    }, 20);
  });

  test('an outcome that both rule out changes nothing', () => {
    const [logP, logQ] = [Math.log(0.2), Math.log(0.6)].map((p) => Float64Array.of(p, Math.log1p(-Math.exp(p))));
    const banned = (values: Float64Array) => Float64Array.of(values[0]!, NEGATIVE_INFINITY, values[1]!);
    const { value, gradient } = divergence.exact(logP!, logQ!);
    const wider = divergence.exact(banned(logP!), banned(logQ!));
    expect(wider.value).toBe(value);
    expect([...wider.gradient]).toEqual([gradient[0], 0, gradient[1]]);
  });
});

describe('outcomes that one side alone rules out', () => {
  const [half, third] = [Math.log(1 / 2), Math.log(1 / 3)];
  const policyBan = [Float64Array.of(half, half, NEGATIVE_INFINITY), Float64Array.of(third, third, third)] as const;
  const referenceBan = [policyBan[1], policyBan[0]] as const;
  const finite = ([logP, logQ]: readonly [Float64Array, Float64Array]) =>
    all
      .filter(([, { exact }]) => {
        const { value, gradient } = exact(logP, logQ);
        return [value, ...gradient].every(Number.isFinite);
      })
      .map(([name]) => name);
  const bounded = ['js', 'squared-hellinger', 'total-variation', 'alpha 1e-12', 'alpha 0.3', 'alpha 0.5', 'alpha 0.7'];
  const ends = ['alpha 0.999999999999'];

  test('by the reference', () => {
    const finiteToo = ['forward-kl', 'neyman-chi2', 'alpha 1', 'alpha 2'];
    expect(finite(referenceBan).toSorted()).toEqual([...bounded, ...ends, ...finiteToo].toSorted());
    expect(forwardKl.exact(...referenceBan).value).toBeCloseTo(Math.log(3 / 2), 14);
    expect(totalVariation.exact(...referenceBan).value).toBeCloseTo(1 / 3, 14);
    expect(reverseKl.exact(...referenceBan).value).toBe(POSITIVE_INFINITY);
  });

  test('by the policy', () => {
    const finiteToo = ['reverse-kl', 'pearson-chi2', 'half-chi2-plus-kl', 'alpha 0', 'alpha -0.5', 'alpha -1'];
    expect(finite(policyBan).toSorted()).toEqual([...bounded, ...ends, ...finiteToo].toSorted());
    expect(reverseKl.exact(...policyBan).value).toBeCloseTo(Math.log(3 / 2), 14);
    expect(pearsonChi2.exact(...policyBan).value).toBeCloseTo(1 / 2, 14);
    expect(neymanChi2.exact(...policyBan).value).toBe(POSITIVE_INFINITY);
  });
});

describe('probabilities that underflow', () => {
  test('bounded divergences and their gradients, at log-probabilities of -1e4', () => {
    const [logP, logQ] = [Float64Array.of(-1e4, 0), Float64Array.of(0, -1e4)];
    const at = (divergence: Divergence) => divergence.exact(logP, logQ).value;
    expect(at(jensenShannon)).toBeCloseTo(2 * Math.LN2, 14);
    expect(at(squaredHellinger)).toBeCloseTo(2, 14);
    expect(at(totalVariation)).toBe(1);
    expect(at(alphaDivergence(0.3))).toBeCloseTo(1 / 0.21, 12);
    expect(at(reverseKl)).toBeCloseTo(1e4, 10);
    expect(at(forwardKl)).toBeCloseTo(1e4, 10);
    for (const { exact } of [jensenShannon, squaredHellinger, totalVariation, reverseKl, forwardKl])
      expect([...exact(logP, logQ).gradient].every(Number.isFinite)).toBe(true);
  });

  test('chi-squared of probabilities below the smallest number: e^{2 log p - log q}', () => {
    const [logP, logQ] = [Float64Array.of(-800, 0), Float64Array.of(-1590, 0)];
    expect(pearsonChi2.exact(logP, logQ).value).toBeCloseTo(Math.exp(-10), 14);
    expect(neymanChi2.exact(logQ, logP).value).toBeCloseTo(Math.exp(-10), 14);
  });
});

describe('relations', () => {
  test('alpha: its ends are the KLs, 1/2 is twice squared Hellinger, -1 and 2 are halves of the chi-squareds', () => {
    holds((random) => {
      const [logP, logQ] = [distribution(random, 6), distribution(random, 6)];
      const same = (a: Divergence, b: Divergence, times: number) => {
        const [ours, theirs] = [a.exact(logP, logQ), b.exact(logP, logQ)];
        near(ours.value, times * theirs.value, 1e-11);
        for (const [v, entry] of ours.gradient.entries()) near(entry, times * theirs.gradient[v]!, 1e-11);
      };
      same(alphaDivergence(0), reverseKl, 1);
      same(alphaDivergence(1), forwardKl, 1);
      same(alphaDivergence(1e-12), reverseKl, 1);
      same(alphaDivergence(1 - 1e-12), forwardKl, 1);
      same(alphaDivergence(0.5), squaredHellinger, 2);
      same(alphaDivergence(-1), pearsonChi2, 1 / 2);
      same(alphaDivergence(2), neymanChi2, 1 / 2);
    }, 50);
  });

  test('swapping p and q swaps the KLs, the chi-squareds, and alpha with 1 - alpha', () => {
    holds((random) => {
      const [logP, logQ] = [distribution(random, 6), distribution(random, 6)];
      const swapped = (a: Divergence, b: Divergence) =>
        near(a.exact(logP, logQ).value, b.exact(logQ, logP).value, 1e-11);
      swapped(reverseKl, forwardKl);
      swapped(pearsonChi2, neymanChi2);
      swapped(jensenShannon, jensenShannon);
      swapped(alphaDivergence(0.3), alphaDivergence(0.7));
    }, 50);
  });

  test('gradients at the logits in closed form', () => {
    holds((random) => {
      const [logP, logQ] = [distribution(random, 6), distribution(random, 6)];
      const [p, q] = [logP, logQ].map((log) => log.map(Math.exp));
      const check = (divergence: Divergence, wanted: (v: number, value: number) => number) => {
        const { value, gradient } = divergence.exact(logP, logQ);
        for (const [v, entry] of gradient.entries()) near(entry, wanted(v, value), 1e-11);
      };
      check(reverseKl, (v, kl) => p![v]! * (logP[v]! - logQ[v]! - kl));
      check(forwardKl, (v) => p![v]! - q![v]!);
      check(pearsonChi2, (v, chi2) => 2 * p![v]! * (p![v]! / q![v]! - 1 - chi2));
      check(squaredHellinger, (v, value) => p![v]! * (1 - value / 2) - Math.sqrt(p![v]! * q![v]!));
      check(neymanChi2, (v, chi2) => p![v]! * (1 + chi2) - q![v]! ** 2 / p![v]!);
    }, 50);
  });

  test("TRL's coefficient and the paper's alpha: each is one minus the other", () => {
    expect(alphaFromTrl(0.3)).toBe(0.7);
    expect(alphaToTrl(alphaFromTrl(1.5))).toBe(1.5);
    // f'(u) = (u^{c-1} - 1)/(c-1) at c = 1.5, u = 4
    near(alphaDivergence(alphaFromTrl(1.5)).derivative(Math.log(4)), 2, 1e-14);
  });
});

test('alpha near its ends keeps the digits of the KL it tends to', () => {
  const r = 0.7;
  for (const a of [1e-15, 1e-9]) near(alphaDivergence(a).derivative(r), r, 1e-8);
  for (const a of [1e-15, 1e-9]) near(alphaDivergence(a).f(r), alphaDivergence(0).f(r), 1e-8);
  for (const a of [1e-15, 1e-9]) near(alphaDivergence(1 - a).f(r), alphaDivergence(1).f(r), 1e-8);
});

test('an alpha that is no number is refused', () => {
  expect(() => alphaDivergence(Number.NaN)).toThrow(RangeError);
});

test('sides of different length are refused', () => {
  expect(() => reverseKl.exact(new Float64Array(2), new Float64Array(3))).toThrow('2 outcomes of p, 3 of q');
});
