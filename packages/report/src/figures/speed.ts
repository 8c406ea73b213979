import type { Run } from '../read/run.js';
import { type RunFigure, steps } from '../run-figure.js';
import { keysOf, panelOf } from '../series.js';

/** What each phase of a step got through. */
export const speed: RunFigure = {
  name: 'speed',
  order: 90,
  draw(run: Run) {
    const timing = run.timing.filter(({ kind }) => kind === 'step');
    const phases = (ending: string) =>
      keysOf(timing).flatMap((key) => {
        const phase = key.endsWith(ending) && key !== ending.slice(1) ? key.slice(0, -ending.length) : '';
        // Rewards are judged a completion at a time: their tokens a second say nothing and would flatten the others.
        return phase === '' || (phase === 'rewarding' && ending === '_tokens_per_second') ? [] : [{ key, name: phase }];
      });
    const speeds = phases('_tokens_per_second');
    const whole = { key: 'tokens_per_second', name: 'the whole step' };
    return {
      name: 'speed',
      title: 'Speed',
      x: steps,
      panels: [
        panelOf(timing, 'tokens a second', [...speeds, whole]),
        panelOf(timing, 'seconds a step', [...phases('_seconds'), { key: 'seconds', name: 'the whole step' }]),
        panelOf(timing, 'peak memory, GiB', [
          { key: 'peak_rss_bytes', name: 'peak memory, GiB', as: (bytes) => bytes / 2 ** 30 },
        ]),
      ],
    };
  },
};
