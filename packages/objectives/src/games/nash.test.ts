import { describe, expect, test } from 'vitest';
import { logSoftmax } from '../numerics.js';
import { seeded } from '../testing/index.js';
import { nashEquilibrium } from './equilibrium.js';
import { bestResponseGain, klToEquilibrium, nashMirrorProx, type PreferenceGame, winProbabilities } from './nash.js';

/** Random preferences, rock-paper-scissors among them. */
function game(seed: number, outcomes: number, beta: number): PreferenceGame {
  const random = seeded(seed);
  const preference = new Float64Array(outcomes ** 2).fill(0.5);
  for (let i = 0; i < outcomes; i++) {
    for (let j = 0; j < i; j++) {
      preference[i * outcomes + j] = random();
      preference[j * outcomes + i] = 1 - preference[i * outcomes + j]!;
    }
  }
  return { preference, referenceLogits: Float64Array.from({ length: outcomes }, () => 2 * random() - 1), beta };
}

const games = [1, 2, 3].flatMap((seed) => [0.003, 0.02, 0.1, 1].map((beta) => game(seed, 4, beta)));

describe('the equilibrium', () => {
  test.each(games)('π = softmax(log π_ref + Pπ/beta), beta $beta', (one) => {
    const equilibrium = nashEquilibrium(one);
    const wins = winProbabilities(one, equilibrium);
    const reference = logSoftmax(one.referenceLogits);
    const response = logSoftmax(reference.map((logprob, i) => logprob + wins[i]! / one.beta));
    response.forEach((logprob, i) => {
      expect(equilibrium[i]).toBeCloseTo(logprob, 10);
    });
    expect(bestResponseGain(one, equilibrium)).toBeCloseTo(0, 11);
  });

  test('an outcome that the reference rules out is in no equilibrium', () => {
    const one = game(1, 4, 0.1);
    const ruled = { ...one, referenceLogits: one.referenceLogits.with(2, Number.NEGATIVE_INFINITY) };
    const equilibrium = nashEquilibrium(ruled);
    expect(equilibrium[2]).toBe(Number.NEGATIVE_INFINITY);
    expect(bestResponseGain(ruled, equilibrium)).toBeCloseTo(0, 12);
  });

  test('rock, paper, scissors around a uniform reference is uniform', () => {
    const preference = Float64Array.of(0.5, 1, 0, 0, 0.5, 1, 1, 0, 0.5);
    const equilibrium = nashEquilibrium({ preference, referenceLogits: new Float64Array(3), beta: 0.01 });
    expect([...equilibrium]).toEqual(Array(3).fill(expect.closeTo(-Math.log(3), 14)));
  });
});

describe('tiapkin2025', () => {
  test.each(games)(
    'converges, KL(equilibrium ‖ π_k) by 1/(1 + eta) an iteration at eta = beta/2, beta $beta',
    (one) => {
      const eta = one.beta / 2;
      const path = nashMirrorProx(one, { eta, iterations: 60 });
      const distances = klToEquilibrium(
        nashEquilibrium(one),
        path.map(({ logprobs }) => logprobs),
      );
      for (let k = 1; k < distances.length; k++) {
        expect(distances[k]).toBeLessThanOrEqual(distances[k - 1]! / (1 + eta) + 1e-14);
      }
    },
  );

  test('reaches the solved equilibrium', () => {
    const one = game(4, 5, 0.5);
    const last = nashMirrorProx(one, { eta: 1, iterations: 80 }).at(-1)!.logprobs;
    const equilibrium = nashEquilibrium(one);
    last.forEach((logprob, i) => {
      expect(logprob).toBeCloseTo(equilibrium[i]!, 10);
    });
  });

  test('starts at the reference', () => {
    const one = game(5, 3, 1);
    const [start] = nashMirrorProx(one, { eta: 1, iterations: 0 });
    expect(start!.logprobs).toEqual(logSoftmax(one.referenceLogits));
  });
});

test('preferences that do not sum to 1 are refused', () => {
  const preference = Float64Array.of(0.5, 0.7, 0.4, 0.5);
  expect(() => nashEquilibrium({ preference, referenceLogits: new Float64Array(2), beta: 1 })).toThrow('P[1, 0]');
});
