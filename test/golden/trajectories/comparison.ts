import type { Trajectory } from './trajectory.js';

export type Dtype = 'float32' | 'float64';

interface Distance {
  readonly series: string;
  readonly where: string;
  readonly error: number;
  /** Error / tolerance. */
  readonly share: number;
}

/** Distances from a recorded run, each as a share of what its series may be off; the worst is kept. */
export class Comparison {
  readonly #float32: Trajectory['float32'];
  readonly #dtype: Dtype;
  #worst: Distance | undefined;
  #compared = 0;

  constructor({ float32 }: Pick<Trajectory, 'float32'>, dtype: Dtype) {
    this.#float32 = float32;
    this.#dtype = dtype;
  }

  /** `like`: the series whose float32 figure is that of this one, where the file has none. */
  number(series: string, where: string, got: number | undefined, expected: number, like = series): void {
    this.#add(series, where, got, expected, this.#float32[like] ?? 0);
  }

  /** Where the float32 figure is a share of the value. */
  relative(series: string, where: string, got: number, expected: number): void {
    this.#add(series, where, got, expected, (this.#float32[`${series} (relative)`] ?? 0) * Math.abs(expected));
  }

  get passed(): boolean {
    return this.#worst !== undefined && this.#worst.share <= 1;
  }

  get summary(): string {
    if (this.#worst === undefined) return 'nothing to compare';
    const { series, where, error, share } = this.#worst;
    return `${this.#compared} compared, worst ${series} at ${where}: off by ${error.toExponential(1)}, ${share.toPrecision(2)} of the tolerance`;
  }

  /** float32: ten times what TRL's own float32 run is off. float64: the ten digits of the files, with some room. */
  #add(series: string, where: string, got: number | undefined, expected: number, figure: number): void {
    this.#compared++;
    const size = Math.abs(expected);
    const tolerance = this.#dtype === 'float64' ? 1e-8 * size + 1e-8 : 10 * figure + 1e-5 * size + 1e-6;
    const error = got === undefined ? Number.NaN : Math.abs(got - expected);
    const share = error / tolerance;
    const worst = this.#worst?.share ?? -1;
    // A NaN is the worst there is, and stays.
    if (!(share <= worst) && !Number.isNaN(worst)) this.#worst = { series, where, error, share };
  }
}
