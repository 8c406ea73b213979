import { type Engine, pathsOf, type TokenTree, treeOf } from '@kelpie/policy';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  allScores,
  distance,
  gradientDistance,
  openTiny,
  randomIds,
  randomOf,
  row,
  SEED,
  scoresAndGradients,
  type TinyModel,
  tinyModels,
} from './models.js';

/** Trees against the separate rows that they stand for. Largest distance of scores, and of gradients over their norms. */
const tolerances = { float64: 1e-10, float32: 1e-4 } as const;

const random = randomOf('trees');
const ids = (length: number) => randomIds(random, length);

/** A prompt of 6 tokens with completions of 1 to 7: the border of length-dependent rotations, 9, lies among them. */
function promptWith(completions: number): TokenTree {
  const prompt = ids(6);
  const lengths = [3, 6, 1, 7, 2].slice(0, completions);
  return { trunk: prompt, branches: lengths.map((length) => ({ ids: ids(length), scoreFrom: 6 })) };
}

const [first, second] = [ids(4), ids(7)];
const cases: { readonly name: string; readonly trees: readonly TokenTree[] }[] = [
  ...[1, 2, 5].map((n) => ({ name: `a prompt with ${n} completions`, trees: [promptWith(n)] })),
  {
    name: 'scoring starts inside the trunk, elsewhere for each branch',
    trees: [
      {
        trunk: ids(6),
        branches: [
          { ids: ids(3), scoreFrom: 2 },
          { ids: ids(2), scoreFrom: 6 },
          { ids: ids(3), scoreFrom: 7 },
          { ids: ids(1), scoreFrom: 1 },
        ],
      },
    ],
  },
  {
    name: 'empty branches: a sequence that is the beginning of another, scored and not',
    trees: [
      {
        trunk: ids(5),
        branches: [
          { ids: [], scoreFrom: 3 },
          { ids: ids(4), scoreFrom: 5 },
          { ids: [], scoreFrom: 5 },
        ],
      },
    ],
  },
  {
    name: 'equal completions count twice',
    trees: [
      treeOf(
        [
          [...first, 1, 2],
          [...first, 1, 2],
          [...first, 1, 3],
        ].map((path) => ({ ids: path, scoreFrom: 4 })),
      ),
    ],
  },
  {
    name: 'short trees share a row with each other and leave padding',
    trees: [
      promptWith(1),
      { trunk: second, branches: [...promptWith(5).branches] },
      promptWith(2),
      row(ids(2)),
      row(ids(3), 2),
    ],
  },
];

const adapter = { rank: 3, alpha: 5, targetModules: 'all-linear', seed: SEED } as const;

function suite(model: TinyModel, dtype: 'float32' | 'float64', lora?: typeof adapter): void {
  const tolerance = tolerances[dtype];
  describe(`${model.name}, ${dtype}${lora === undefined ? '' : ', LoRA'}, seed ${SEED}`, () => {
    let engine: Engine;
    beforeAll(async () => {
      engine = await openTiny(model, { dtype, ...(lora === undefined ? {} : { lora }) });
    });
    afterAll(() => engine.dispose());

    test.each(cases)('$name', async ({ trees }) => {
      const apart = trees.flatMap((tree) => pathsOf(tree).map(({ ids: path, scoreFrom }) => row(path, scoreFrom)));
      const shared = await scoresAndGradients(engine, trees);
      const plain = await scoresAndGradients(engine, apart);
      expect(shared.scores.completionMask).toEqual(plain.scores.completionMask);
      for (const name of allScores) expect(distance(shared.scores[name]!, plain.scores[name]!)).toBeLessThan(tolerance);
      expect(Math.abs(shared.loss - plain.loss)).toBeLessThan(tolerance);
      expect(gradientDistance(shared.gradients, plain.gradients)).toBeLessThan(tolerance);
    });

    test('a row is scored the same alone, without what a backward pass keeps, and as the reference', async () => {
      const { trees } = cases.at(-1)!;
      const kept = await scoresAndGradients(engine, trees);
      const scores = await engine.score({ trees, scores: allScores });
      for (const name of allScores) expect(distance(scores[name]!, kept.scores[name]!)).toBeLessThan(tolerance);
      const asReference = await engine.score({ trees, scores: allScores, of: 'reference' });
      expect(distance(asReference.logprobs!, scores.logprobs!)).toBeGreaterThan(0.01);
      for (const name of ['forwardKl', 'reverseKl'] as const) {
        expect(Math.max(...scores[name]!)).toBeGreaterThan(0.01);
        expect(Math.max(...asReference[name]!.map(Math.abs))).toBeLessThan(tolerance);
      }
    });

    test('every trained tensor has a gradient', async () => {
      const { gradients } = await scoresAndGradients(engine, cases.at(-1)!.trees);
      const still = [...gradients].filter(([, { data }]) => data.every((x) => x === 0)).map(([name]) => name);
      expect(still).toEqual([]);
    });
  });
}

for (const model of tinyModels) {
  if (!model.float32Only) suite(model, 'float64');
  suite(model, 'float32');
}
// LoRA sits on linear layers, whatever the rotation: what differs in biases, groups, layout and splitting.
for (const model of tinyModels.filter(({ name }) => /default|longrope|biases|gpt2$/.test(name))) {
  suite(model, 'float64', adapter);
  suite(model, 'float32', adapter);
}
