import type { RolloutEngine } from './engine.js';

/** The policy's own decoder, over the weights that are trained: nothing to hand over, and a seed decides on every token. */
export const inProcess: RolloutEngine = {
  name: 'in-process',
  madeOf: { engine: 'in-process' },
  logprobBound: 1e-3,
  async draw(policy, { prompts, signal, version: _, ...request }) {
    const ids = prompts.map((prompt) => prompt.ids);
    const completions = await policy.sample({ ...request, prompts: ids }, signal ? { signal } : {});
    return { completions, logprobTemperature: 1 };
  },
  [Symbol.asyncDispose]: async () => {},
};
