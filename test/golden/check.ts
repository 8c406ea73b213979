/** Distances between what came and what a golden file says, each in units of what is allowed; the worst is kept. */
export class Check {
  #worst: { readonly what: string; readonly ratio: number; readonly error: number } = {
    what: 'nothing compared',
    ratio: 0,
    error: 0,
  };
  #compared = 0;

  number(what: string, got: number | undefined, expected: number, tolerance: number): void {
    this.#compared++;
    const error = got === undefined ? Number.NaN : Math.abs(got - expected);
    const ratio = error / tolerance;
    // A NaN is the worst there is, and stays.
    if (!(ratio <= this.#worst.ratio) && !Number.isNaN(this.#worst.ratio)) this.#worst = { what, ratio, error };
  }

  numbers(what: string, got: ArrayLike<number>, expected: readonly number[], tolerance: number): void {
    if (got.length !== expected.length) {
      throw new Error(`${what}: expected ${expected.length} numbers, got ${got.length}`);
    }
    expected.forEach((value, i) => {
      this.number(`${what}[${i}]`, got[i], value, tolerance);
    });
  }

  same(what: string, got: unknown, expected: unknown): void {
    this.#compared++;
    const [a, b] = [JSON.stringify(got), JSON.stringify(expected)];
    if (a !== b) throw new Error(`${what}: expected ${b}, got ${a}`);
  }

  get passed(): boolean {
    return this.#compared > 0 && this.#worst.ratio <= 1;
  }

  get summary(): string {
    const { what, ratio, error } = this.#worst;
    if (this.#compared === 0) return 'nothing to compare';
    if (ratio === 0) return `${this.#compared} compared, all equal`;
    return `${this.#compared} compared, worst ${error.toExponential(1)} at ${what}${ratio <= 1 ? '' : ', too far'}`;
  }
}
