import { score } from './score.js';

/** The true score as a reward: `kelpie train ppo --watch datasets/film-reviews/true-score.ts`. In points. */
export default ({ completion }: { readonly completion: string }): number => score(completion);
