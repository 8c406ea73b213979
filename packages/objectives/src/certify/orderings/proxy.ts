import { type Divergence, pearsonChi2, reverseKl } from '../../divergences/index.js';
import {
  enumerableWorld,
  expectation,
  frontier,
  normal,
  optimalPolicy,
  spacedBetween,
  standardized,
  studentT2,
} from '../../enumerable/index.js';
import { type Random, seeded } from '../../testing/random.js';
import { count, type NamedOrdering, ordering, orderingSeeds } from './ordering.js';

/** Size of the proxy's error, in standard deviations of the true reward. */
const ERROR = 0.6;

/** Coefficients of each side. */
const COEFFICIENTS = 140;

/** True rewards closer than this many standard deviations are level. */
const LEVEL = 0.01;

interface Compared {
  readonly chi2: number;
  readonly kl: number;
}

/** Best true reward that each side reaches on its way from the reference to the unregularised end. */
function compared(seed: number, draw: (random: Random) => number): Compared {
  const { reference, rewards } = enumerableWorld({ seed, vocabulary: 8, length: 4 });
  const random = seeded(seed + 8000);
  const truth = standardized(rewards, reference);
  const error = standardized(
    rewards.map(() => draw(random)),
    reference,
  );
  const proxy = truth.map((reward, i) => reward + ERROR * error[i]!);
  const best = (divergence: Divergence) => {
    const problem = { reference, rewards: proxy, divergence };
    const points = frontier(problem, spacedBetween(100, unregularised(problem), COEFFICIENTS));
    return Math.max(...points.map(({ logprobs }) => expectation(logprobs, truth)));
  };
  return { chi2: best(pearsonChi2), kl: best(reverseKl) };
}

/** A coefficient so small that all but a millionth of the mass is on the best completion. */
function unregularised(problem: Parameters<typeof frontier>[0]): number {
  const best = problem.rewards.indexOf(Math.max(...problem.rewards));
  for (let beta = 1; ; beta /= 4) {
    if (Math.exp(optimalPolicy({ ...problem, beta })[best]!) > 1 - 1e-6) return beta;
  }
}

const regime = (errors: string) =>
  `proxy = true + ${ERROR} error, ${errors} errors standardised under the reference; vocabulary 8, length 4; exact optima ` +
  `at ${COEFFICIENTS} coefficients a side, both swept to their unregularised end; best true reward; level within ${LEVEL} ` +
  `standard deviations; ${orderingSeeds.length} seeds`;

function told(results: readonly Compared[]) {
  const chi2 = count(results, (one) => one.chi2 > one.kl + LEVEL);
  const kl = count(results, (one) => one.kl > one.chi2 + LEVEL);
  const rest = results.length - chi2 - kl;
  return { chi2, kl, text: `chi-squared above in ${chi2}, KL in ${kl}, level in ${rest} of ${results.length} seeds` };
}

export const heavyTailedProxy: NamedOrdering = ordering(
  {
    name: 'chi-squared above KL under a proxy with heavy-tailed errors',
    paper: 'Laidlaw et al. 2024, arXiv:2403.03185',
    regime: regime('Student-t(2)'),
  },
  () => {
    const { chi2, text } = told(orderingSeeds.map((seed) => compared(seed, studentT2)));
    return { reproduced: chi2 >= 15, found: text };
  },
);

export const gaussianProxy: NamedOrdering = ordering(
  {
    name: 'neither of chi-squared and KL ahead under a proxy with Gaussian errors',
    paper: 'Laidlaw et al. 2024, arXiv:2403.03185',
    regime: regime('Gaussian'),
  },
  () => {
    const { chi2, kl, text } = told(orderingSeeds.map((seed) => compared(seed, normal)));
    return { reproduced: chi2 <= 12 && kl <= 12, found: text };
  },
);
