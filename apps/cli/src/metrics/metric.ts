/** What a number that runs log means, and how it looks when something is wrong. */
export interface Metric {
  /** As it stands in the logs; a part in capitals stands for any name: `rewards/NAME/mean`. */
  readonly name: string;
  readonly definition: string;
  readonly unit: string;
  /** What it usually is in a run that goes well. */
  readonly healthy: string;
  /** How it shows that a run goes wrong, and what to look at then. */
  readonly failure: string;
}

type Texts = readonly [definition: string, unit: string, healthy: string, failure: string];

/** A topic's metrics, in the order in which they are listed. */
export const metricsOf = (texts: Readonly<Record<string, Texts>>): Metric[] =>
  Object.entries(texts).map(([name, [definition, unit, healthy, failure]]) => ({
    name,
    definition,
    unit,
    healthy,
    failure,
  }));
