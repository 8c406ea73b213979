import { dpo, type Objective, type Scores, tdpo2 } from '@kelpie/objectives';
import type { Engine, TokenTree } from '@kelpie/policy';
import { expect, test } from 'vitest';
import { openTiny, randomIds, randomOf, SEED, takeGradients, tinyModels } from './models.js';

const random = randomOf('tdpo');
const pairs = Array.from(
  { length: 3 },
  (): TokenTree => ({
    trunk: randomIds(random, 4),
    branches: [5, 3].map((n) => ({ ids: randomIds(random, n), scoreFrom: 4 })),
  }),
);

/** Gradients of one step, from scores to weights. */
async function gradientsOf(engine: Engine, objective: Objective, options: object) {
  const { policy: scores, reference: ofReference } = objective.needsOf(options);
  const { logprobs } = await engine.score({ trees: pairs, scores: ofReference as ['logprobs'], of: 'reference' });
  const given = await engine.vjp({ trees: pairs, scores: scores as ('logprobs' | 'forwardKl')[] });
  const { rows, tokens, completionMask, ...policy } = given.scores;
  const reference: Scores = { logprobs: logprobs! };
  const { loss, cotangents } = objective.evaluate({ rows, tokens, completionMask, policy, reference }, options);
  await given.pullback(cotangents as Parameters<typeof given.pullback>[0]);
  return { loss, gradients: await takeGradients(engine) };
}

test.each(['float32', 'float64'] as const)(
  `alpha = 0 trains as DPO does, to the last bit, in %s, seed ${SEED}`,
  async (dtype) => {
    await using engine = await openTiny(tinyModels[0]!, { dtype });
    const plain = await gradientsOf(engine, dpo as Objective, { beta: 0.3 });
    expect(await gradientsOf(engine, tdpo2 as Objective, { beta: 0.3, alpha: 0 })).toEqual(plain);
    const other = await gradientsOf(engine, tdpo2 as Objective, { beta: 0.3, alpha: 0.5 });
    expect(other.loss).not.toBe(plain.loss);
  },
);
