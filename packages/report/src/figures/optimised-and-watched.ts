import type { Figure, Mark } from '../chart/figure.js';
import { gamedSpans, watchedNames } from '../gaming.js';
import type { Run } from '../read/run.js';
import { type RunFigure, steps } from '../run-figure.js';
import { smoothedPanel } from '../series.js';

/** Gold against proxy: what is optimised above what is only watched, with the steps at which they part. */
export const optimisedAndWatched: RunFigure = {
  name: 'optimised-and-watched',
  order: 11,
  draw({ metrics }: Run): Figure {
    const names = watchedNames(metrics);
    const marks = gamedSpans(metrics).map(({ watched, from, to }): Mark => {
      return { from, to, text: `the reward rises while ${watched} falls` };
    });
    const watched = names.map((name) => ({
      ...smoothedPanel(metrics, `${name} (watched)`, { key: `watched/${name}/mean` }, 's1'),
      legend: false as const,
    }));
    return {
      name: 'optimised-and-watched',
      title: names.length > 0 ? 'Optimised beside watched rewards' : 'Reward',
      wide: true,
      x: steps,
      panels: [
        smoothedPanel(metrics, names.length > 0 ? 'reward (optimised)' : 'reward', { key: 'reward' }, 's0'),
        ...watched,
      ],
      marks,
      ...(marks.length > 0 && {
        notes: [
          'Marked: from the first 10 steps to the last 10, the reward rose and a watched one fell, each by more than two standard errors.',
        ],
      }),
    };
  },
};
