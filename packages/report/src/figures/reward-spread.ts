import type { Run } from '../read/run.js';
import { type RunFigure, steps } from '../run-figure.js';
import { type Drawing, keysOf, panelOf } from '../series.js';

/** How far apart completions are: without it a group has nothing to learn from. */
export const rewardSpread: RunFigure = {
  name: 'reward-spread',
  order: 40,
  draw({ metrics }: Run) {
    const spreads = keysOf(metrics).flatMap((key): Drawing[] => {
      const [, kind, name] = /^(rewards|watched)\/(.*)\/std$/.exec(key) ?? [];
      return name === undefined ? [] : [{ key, name: kind === 'watched' ? `${name} (watched)` : name }];
    });
    const groups = panelOf(metrics, 'standard deviation', [
      { key: 'reward_std', name: 'reward, within groups' },
      ...spreads,
    ]);
    const zero = panelOf(metrics, 'share of groups of one reward', [
      { key: 'frac_reward_zero_std', name: 'share of groups of one reward' },
    ]);
    return { name: 'reward-spread', title: 'Spread of the rewards', x: steps, panels: [groups, zero] };
  },
};
