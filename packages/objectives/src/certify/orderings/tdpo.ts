import { enumerableWorld, gridOf, type SequenceSpace, scoresOf, type TablePolicy } from '../../enumerable/index.js';
import { rowSums } from '../../numerics.js';
import type { Objective } from '../../objective.js';
import { dpo } from '../../objectives/dpo.js';
import { tdpo1 } from '../../objectives/tdpo1.js';
import { tdpo2 } from '../../objectives/tdpo2.js';
import { randomInput, seeded } from '../../testing/random.js';
import { count, mean, type NamedOrdering, ordering, orderingSeeds } from './ordering.js';
import { descend, samplePairs } from './runs.js';

const paper = 'Zeng et al. 2024, arXiv:2404.11999';
const PAIRS = 128;
const STEPS = 100;
const LEARNING_RATE = 30;

/** Each link of the chain holds the sequential KL lower than the one before it. */
const runs: readonly { readonly label: string; readonly objective: Objective; readonly options?: object }[] = [
  { label: 'TDPO1', objective: tdpo1 as unknown as Objective },
  { label: 'TDPO2 alpha 0.25', objective: tdpo2 as unknown as Objective, options: { alpha: 0.25 } },
  { label: 'TDPO2 alpha 0.5', objective: tdpo2 as unknown as Objective, options: { alpha: 0.5 } },
  { label: 'TDPO2 alpha 1', objective: tdpo2 as unknown as Objective, options: { alpha: 1 } },
];
const start = { label: 'DPO', objective: dpo as unknown as Objective };

interface SequentialKl {
  readonly chosen: number;
  readonly rejected: number;
}

/** Mean over the rows of a side of Σ_t KL(ref ‖ π). */
function sequentialKl(
  space: SequenceSpace,
  rows: Int32Array,
  policy: TablePolicy,
  reference: TablePolicy,
): SequentialKl {
  const kl = rowSums(gridOf(space, rows), scoresOf(policy, rows, ['forwardKl'], reference).forwardKl!);
  const side = (of: number) => mean([...kl].filter((_, row) => row % 2 === of));
  return { chosen: side(0), rejected: side(1) };
}

export const sequentialKlChains: NamedOrdering = ordering(
  {
    name: 'sequential KL of chosen and of rejected: DPO and TDPO1 above TDPO2, the lower the larger alpha',
    paper,
    regime:
      `${PAIRS} pairs of the reference, ${STEPS} steps of gradient descent at ${LEARNING_RATE} from the reference, beta 0.1; ` +
      `vocabulary 4, length 3; mean over rows of Σ_t KL(ref ‖ π); ${orderingSeeds.length} seeds`,
  },
  () => {
    const all = orderingSeeds.map((seed) => {
      const world = enumerableWorld({ seed, vocabulary: 4, length: 3 });
      const rows = samplePairs(world, PAIRS, seeded(seed + 9000));
      return [start, ...runs].map((run) => {
        const policy = descend({
          ...run,
          options: { ...('options' in run && run.options) },
          world,
          rows,
          steps: STEPS,
          learningRate: LEARNING_RATE,
        });
        return sequentialKl(world.space, rows, policy, world.referencePolicy);
      });
    });
    const falls = (kls: readonly SequentialKl[], side: keyof SequentialKl) => {
      const [ofDpo, ...chain] = kls.map((kl) => kl[side]);
      return ofDpo! > chain[1]! && chain.every((kl, at) => at === 0 || kl < chain[at - 1]!);
    };
    const both = count(all, (kls) => falls(kls, 'chosen') && falls(kls, 'rejected'));
    const shown = [start, ...runs].map(({ label }, at) => {
      const [chosen, rejected] = (['chosen', 'rejected'] as const).map((side) =>
        mean(all.map((kls) => kls[at]![side])),
      );
      return `${label} ${chosen!.toFixed(2)} and ${rejected!.toFixed(2)}`;
    });
    return { reproduced: both === all.length, found: `in ${both} of ${all.length} seeds; ${shown.join(', ')}` };
  },
);

export const alphaZeroIsDpo: NamedOrdering = ordering(
  { name: 'TDPO2 at alpha 0 is DPO, bit for bit', paper, regime: '20 random batches of 4 pairs: loss and gradients' },
  () => {
    const same = count(orderingSeeds, (seed) => {
      const input = randomInput(tdpo2, tdpo2.needs, seeded(seed));
      const ours = tdpo2.evaluate(input, { alpha: 0 });
      const theirs = dpo.evaluate(input);
      const gradients = ours.cotangents.logprobs!.every((value, at) => value === theirs.cotangents.logprobs![at]);
      return ours.loss === theirs.loss && gradients && !ours.cotangents.forwardKl?.some((value) => value !== 0);
    });
    return { reproduced: same === orderingSeeds.length, found: `${same} of ${orderingSeeds.length} batches` };
  },
);
