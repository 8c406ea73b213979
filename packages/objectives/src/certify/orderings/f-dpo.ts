import { type Divergence, forwardKl, jensenShannon, reverseKl } from '../../divergences/index.js';
import { enumerableWorld, expectation, optimalPolicy, sequenceEntropy } from '../../enumerable/index.js';
import { count, mean, type NamedOrdering, ordering, orderingSeeds } from './ordering.js';

const paper = 'Wang et al. 2023, arXiv:2309.16240';
const BETA = 0.03;
const regime = (beta: number) =>
  `the point f-DPO comes to rest at, beta ${beta}; true rewards standard normal, vocabulary 4, length 3; ` +
  `diversity: entropy over completions, accuracy: expected true reward; ${orderingSeeds.length} seeds`;

interface Rest {
  readonly diversity: number;
  readonly accuracy: number;
}

function restAt(divergence: Divergence, beta: number, seed: number): Rest {
  const { reference, rewards } = enumerableWorld({ seed, vocabulary: 4, length: 3 });
  const logprobs = optimalPolicy({ reference, rewards, divergence, beta });
  return { diversity: sequenceEntropy(logprobs), accuracy: expectation(logprobs, rewards) };
}

interface Both {
  readonly first: Rest;
  readonly second: Rest;
}

function bothAt(first: Divergence, second: Divergence, beta: number): readonly Both[] {
  return orderingSeeds.map((seed) => ({ first: restAt(first, beta, seed), second: restAt(second, beta, seed) }));
}

const figures = (all: readonly Both[], of: keyof Rest) =>
  `${mean(all.map(({ first }) => first[of])).toFixed(3)} against ${mean(all.map(({ second }) => second[of])).toFixed(3)}`;

export const forwardKlDiverse: NamedOrdering = ordering(
  { name: 'forward KL more diverse than reverse KL among f-DPO runs', paper, regime: regime(BETA) },
  () => {
    const all = bothAt(forwardKl, reverseKl, BETA);
    const more = count(all, ({ first, second }) => first.diversity > second.diversity);
    const found = `in ${more} of ${all.length} seeds, mean entropy ${figures(all, 'diversity')}`;
    return { reproduced: more > 0.75 * all.length, found };
  },
);

export const reverseKlAccurate: NamedOrdering = ordering(
  { name: 'reverse KL more accurate than forward KL among f-DPO runs', paper, regime: regime(BETA) },
  () => {
    const all = bothAt(reverseKl, forwardKl, BETA);
    const more = count(all, ({ first, second }) => first.accuracy > second.accuracy);
    const found = `in ${more} of ${all.length} seeds, mean reward ${figures(all, 'accuracy')}`;
    return { reproduced: more > 0.75 * all.length, found };
  },
);

export const jensenShannonDiverse: NamedOrdering = ordering(
  {
    name: 'Jensen-Shannon more diverse than reverse KL at equal beta',
    paper,
    regime: regime(0.1),
    required: false,
  },
  () => {
    const all = bothAt(jensenShannon, reverseKl, 0.1);
    const more = count(all, ({ first, second }) => first.diversity > second.diversity);
    const why = "f''(1) is half as large, so equal beta lets it go farther";
    return {
      reproduced: more > 0.75 * all.length,
      found: `in ${more} of ${all.length} seeds, mean entropy ${figures(all, 'diversity')}: ${why}`,
    };
  },
);
