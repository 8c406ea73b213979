import type { Figure } from './chart/figure.js';
import type { Run } from './read/run.js';

/** A figure of one run: a file of `figures/`. */
export interface RunFigure {
  readonly name: string;
  /** Its place on the page. */
  readonly order: number;
  /** Empty panels and series are left out by who calls. */
  draw(run: Run): Figure;
}

export const steps = { label: 'step', counts: true } as const;
