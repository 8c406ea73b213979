/** A place of a series. What is not finite is a gap. */
export interface Point {
  readonly x: number;
  readonly y: number;
  /** Edges of the band, or of a bar across it. */
  readonly low?: number;
  readonly high?: number;
  readonly lowX?: number;
  readonly highX?: number;
  /** What the point is called when it is pointed at. */
  readonly label?: string;
}

/** Eight colours that differ for colour-blind readers too, and five from early to late. */
export type Color = 's0' | 's1' | 's2' | 's3' | 's4' | 's5' | 's6' | 's7' | 'q0' | 'q1' | 'q2' | 'q3' | 'q4';

export interface Series {
  readonly name: string;
  readonly points: readonly Point[];
  readonly draw: 'line' | 'dots' | 'line-and-dots';
  readonly color: Color;
  readonly dashed?: boolean;
  /** Thin and pale: what a bolder series sums up. */
  readonly faint?: boolean;
  /** In legends, if not the name; `false` leaves it out of them. */
  readonly legend?: string | false;
  /** The metrics it draws, by their keys. */
  readonly keys?: readonly string[];
}

/** How an axis is divided: evenly, by the root, or by the logarithm beyond ±1. */
export type ScaleKind = 'linear' | 'sqrt' | 'symlog';

export interface Panel {
  /** What is drawn, with its unit. */
  readonly label: string;
  readonly series: readonly Series[];
  readonly scale?: ScaleKind;
  /** Values that the axis takes in besides, so that figures can be compared. */
  readonly include?: readonly number[];
  /** `false` where the panel above says how series are drawn. */
  readonly legend?: false;
}

/** A span of the x axis that is called to the reader's eye, in every panel. */
export interface Mark {
  readonly from: number;
  readonly to: number;
  readonly text: string;
}

export interface Table {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/** Panels one above the other over one x axis. */
export interface Figure {
  /** In ids and names of files. */
  readonly name: string;
  readonly title: string;
  readonly x: {
    readonly label: string;
    readonly scale?: ScaleKind;
    readonly counts?: boolean;
    readonly include?: readonly number[];
  };
  readonly panels: readonly Panel[];
  readonly marks?: readonly Mark[];
  /** What the reader has to know to read it. */
  readonly notes?: readonly string[];
  /** Takes more room on a page. */
  readonly wide?: boolean;
  /** In place of the values of the series by x. */
  readonly table?: Table;
}

export const seriesColor = (index: number): Color => `s${(index % 8) as 0}`;

/** Series of which there are numbers; panels with such series; nothing if none is left. */
export function withoutEmpty(figure: Figure): Figure | undefined {
  const panels = figure.panels.flatMap((panel) => {
    const series = panel.series.filter(({ points }) => points.some(isDrawn));
    return series.length === 0 ? [] : [{ ...panel, series }];
  });
  return panels.length === 0 ? undefined : { ...figure, panels };
}

export const isDrawn = ({ x, y }: Point): boolean => Number.isFinite(x) && Number.isFinite(y);
