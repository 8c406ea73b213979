import { type Divergence, forwardKl, jensenShannon, reverseKl } from '../../divergences/index.js';
import {
  enumerableWorld,
  expectation,
  expectedObjective,
  minimize,
  optimalPolicy,
  sequenceEntropy,
  sequenceLogprobs,
} from '../../enumerable/index.js';
import type { Objective } from '../../objective.js';
import { fDpo } from '../../objectives/f-dpo.js';
import { count, mean, type NamedOrdering, ordering, orderingSeeds } from './ordering.js';

const paper = 'Wang et al. 2023, arXiv:2309.16240';
const BETA = 0.03;

/** Newton's steps take a matrix of all logits, so that worlds to train on are smaller. */
const trainedSeeds = orderingSeeds.slice(0, 5);

const regime = (beta: number) =>
  `the optimum of f-DPO in closed form, beta ${beta}; true rewards standard normal, vocabulary 4, length 3; ` +
  `diversity: entropy over completions, accuracy: expected true reward; ${orderingSeeds.length} seeds`;
const trainedRegime = (beta: number) =>
  `${regime(beta)}; f-DPO itself, trained to rest on all pairs: vocabulary 3, length 2, ${trainedSeeds.length} seeds`;

interface Rest {
  readonly diversity: number;
  readonly accuracy: number;
}

function restAt(divergence: Divergence, beta: number, seed: number): Rest {
  const { reference, rewards } = enumerableWorld({ seed, vocabulary: 4, length: 3 });
  const logprobs = optimalPolicy({ reference, rewards, divergence, beta });
  return { diversity: sequenceEntropy(logprobs), accuracy: expectation(logprobs, rewards) };
}

/** Descent on all pairs there are, from the reference, until nothing is left of the gradient. */
function trainedTo(objective: Objective, divergence: Divergence, beta: number, seed: number): Rest {
  const world = enumerableWorld({ seed, vocabulary: 3, length: 2 });
  const { space, referencePolicy, rewards } = world;
  const expected = expectedObjective({ objective, options: { divergence: divergence.name, beta }, world });
  const { point } = minimize(
    (logits) => expected.loss({ space, logits }),
    (logits) => expected.gradient({ space, logits }),
    referencePolicy.logits,
  );
  const logprobs = sequenceLogprobs({ space, logits: point });
  return { diversity: sequenceEntropy(logprobs), accuracy: expectation(logprobs, rewards) };
}

interface Both {
  readonly first: Rest;
  readonly second: Rest;
}

function bothAt(first: Divergence, second: Divergence, beta: number): readonly Both[] {
  return orderingSeeds.map((seed) => ({ first: restAt(first, beta, seed), second: restAt(second, beta, seed) }));
}

function bothTrained(objective: Objective, first: Divergence, second: Divergence, beta: number): readonly Both[] {
  const of = (divergence: Divergence, seed: number) => trainedTo(objective, divergence, beta, seed);
  return trainedSeeds.map((seed) => ({ first: of(first, seed), second: of(second, seed) }));
}

/**
 * How often the first has more of it, at closed-form optima and where training ends, with f-DPO or what stands in its
 * place.
 */
export function comparison(
  first: Divergence,
  second: Divergence,
  of: keyof Rest,
  objective = fDpo as unknown as Objective,
) {
  const word = of === 'diversity' ? 'entropy' : 'reward';
  const more = (all: readonly Both[]) => count(all, (both) => both.first[of] > both.second[of]);
  const told = (all: readonly Both[]) => `in ${more(all)} of ${all.length} seeds, mean ${word} ${figures(all, of)}`;
  const [optima, trained] = [bothAt(first, second, BETA), bothTrained(objective, first, second, BETA)];
  return {
    reproduced: [optima, trained].every((all) => more(all) > 0.75 * all.length),
    found: `optima: ${told(optima)}; trained: ${told(trained)}`,
  };
}

const figures = (all: readonly Both[], of: keyof Rest) =>
  `${mean(all.map(({ first }) => first[of])).toFixed(3)} against ${mean(all.map(({ second }) => second[of])).toFixed(3)}`;

export const forwardKlDiverse: NamedOrdering = ordering(
  { name: 'forward KL more diverse than reverse KL among f-DPO runs', paper, regime: trainedRegime(BETA) },
  () => comparison(forwardKl, reverseKl, 'diversity'),
);

export const reverseKlAccurate: NamedOrdering = ordering(
  { name: 'reverse KL more accurate than forward KL among f-DPO runs', paper, regime: trainedRegime(BETA) },
  () => comparison(reverseKl, forwardKl, 'accuracy'),
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
