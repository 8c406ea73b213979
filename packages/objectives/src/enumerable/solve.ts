/**
 * Where a continuous function crosses zero between two points of opposite sign, to the last digit: inverse quadratic steps
 * where they are trusted, halves elsewhere. Chandrupatla 1997.
 */
export function rootBetween(f: (x: number) => number, low: number, high: number): number {
  let [a, b, c] = [high, low, high];
  let [fa, fb] = [f(high), f(low)];
  let fc = fa;
  if (fa === 0) return a;
  if (fb === 0) return b;
  if (fa > 0 === fb > 0) throw new RangeError(`no change of sign: f(${low}) = ${fb}, f(${high}) = ${fa}`);
  let share = 0.5;
  for (let i = 0; i < 200; i++) {
    const x = a + share * (b - a);
    const fx = f(x);
    if (fx > 0 === fa > 0) [c, fc] = [a, fa];
    else [c, fc, b, fb] = [b, fb, a, fa];
    [a, fa] = [x, fx];
    const [best, least] = Math.abs(fa) < Math.abs(fb) ? [a, fa] : [b, fb];
    const finest = (Number.EPSILON * Math.abs(best) + Number.MIN_VALUE) / Math.abs(b - a);
    if (least === 0 || finest >= 0.5) return best;
    const place = (a - b) / (c - b);
    const height = (fa - fb) / (fc - fb);
    const trusted = height ** 2 < place && (1 - height) ** 2 < 1 - place;
    const inverse = (fa / (fb - fa)) * (fc / (fb - fc)) + ((c - a) / (b - a)) * (fa / (fc - fa)) * (fb / (fc - fb));
    share = Math.min(1 - finest, Math.max(finest, trusted ? inverse : 0.5));
  }
  return Math.abs(fa) < Math.abs(fb) ? a : b;
}

export interface Solution {
  readonly point: Float64Array;
  /** The gradient there, and its largest entry. */
  readonly gradient: Float64Array;
  readonly residual: number;
  readonly steps: number;
}

/** A loss without a lowest point is followed no farther. */
const FAR = 1e4;

/** Logits at which a flow has come to the edge of the simplex. */
const FAR_OUT = 200;

type Field = (point: Float64Array) => Float64Array;

export interface SolveOptions {
  /** Largest entry of the gradient at which to stop. */
  readonly tolerance?: number;
  readonly steps?: number;
  /** Step of the central differences that make the Jacobian. */
  readonly difference?: number;
}

/**
 * The least value of a smooth loss, by Newton steps on its gradient: (H + μ) s = -g, H by central differences, μ raised
 * until the step lowers the loss; near the bottom, where the loss has no digits left, until it lowers the gradient. A
 * direction along which the loss is flat is left alone. For tens of unknowns.
 */
export function minimize(
  loss: (point: Float64Array) => number,
  gradient: Field,
  start: Float64Array,
  options?: SolveOptions,
): Solution {
  return newton(gradient, start, options, {
    system: (jacobian, g) => ({
      matrix: jacobian.map((column, i) => column.map((value, j) => (value + jacobian[j]![i]!) / 2)),
      slope: g,
    }),
    better(next, there, point, g) {
      const [after, before] = [loss(next), loss(point)];
      const blur = 1e-14 * Math.max(Math.abs(before), 1e-3);
      return after < before - blur || (after <= before + blur && norm(there) < norm(g));
    },
  });
}

/**
 * Where a field is zero, by Levenberg's damped steps (JᵀJ + μ) s = -Jᵀg on its size. The field need be no gradient of
 * anything: one with stopped parts is not.
 */
export function solveStationary(gradient: Field, start: Float64Array, options?: SolveOptions): Solution {
  const dot = (a: Float64Array, b: Float64Array) => a.reduce((sum, value, i) => sum + value * b[i]!, 0);
  return newton(gradient, start, options, {
    system: (jacobian, g) => ({
      matrix: jacobian.map((a) => Float64Array.from(jacobian, (b) => dot(a, b))),
      slope: Float64Array.from(jacobian, (column) => dot(column, g)),
    }),
    better: (_next, there, _point, g) => norm(there) < norm(g),
  });
}

interface Method {
  system(jacobian: readonly Float64Array[], g: Float64Array): { matrix: readonly Float64Array[]; slope: Float64Array };
  better(next: Float64Array, there: Float64Array, point: Float64Array, g: Float64Array): boolean;
}

/**
 * Follows a field downhill by short steps, longer where it keeps its direction, shorter where it turns: to where Newton's
 * steps can take over. The way of a field that is no gradient of anything.
 */
export function flow(field: Field, start: Float64Array, { steps = 500, tolerance = 1e-12 } = {}): Float64Array {
  let point: Float64Array = Float64Array.from(start);
  let g = field(point);
  let step = 0.1;
  for (let i = 0; i < steps && largest(g) > tolerance; i++) {
    const next = point.map((x, at) => x - step * g[at]!);
    if (largest(next) > FAR_OUT) break;
    const there = field(next);
    const turned = there.reduce((sum, value, at) => sum + value * g[at]!, 0) <= 0;
    if (turned) step /= 2;
    else {
      [point, g] = [next, there];
      step *= 1.3;
    }
  }
  return point;
}

function newton(
  gradient: Field,
  start: Float64Array,
  { tolerance = 1e-16, steps = 200, difference = 1e-5 }: SolveOptions = {},
  { system, better }: Method,
): Solution {
  let point: Float64Array = Float64Array.from(start);
  let g: Float64Array = gradient(point);
  let damping = 1e-3;
  let taken = 0;
  let stuck = false;
  for (; taken < steps && !stuck && largest(g) > tolerance; taken++) {
    const { matrix, slope } = system(jacobianOf(gradient, point, difference), g);
    const scale = Math.max(...matrix.map((row, i) => Math.abs(row[i]!)), Number.MIN_VALUE);
    stuck = true;
    for (let attempt = 0; attempt < 40 && stuck; attempt++) {
      const step = solveSymmetric(matrix, slope, damping * scale);
      const next = step && point.map((x, i) => x - step[i]!);
      const there = next && largest(next) < FAR ? gradient(next) : undefined;
      if (next && there && better(next, there, point, g)) {
        [point, g] = [next, there];
        damping = Math.max(damping / 10, 1e-14);
        stuck = false;
      } else damping = Math.min(damping * 4, 1e12);
    }
  }
  return { point, gradient: g, residual: largest(g), steps: taken };
}

function norm(values: Float64Array): number {
  return Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));
}

/** The largest size of an entry; NaN if one is. */
export function largest(values: Float64Array): number {
  return values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
}

/** [unknowns][equations]: column i is d field / d point_i. */
function jacobianOf(field: Field, point: Float64Array, h: number): Float64Array[] {
  return Array.from(point, (_, i) => {
    const at = (step: number) => field(point.map((x, j) => (j === i ? x + step : x)));
    const [above, below] = [at(h), at(-h)];
    return above.map((value, k) => (value - below[k]!) / (2 * h));
  });
}

/** (A + μ I) x = b by Cholesky; nothing where that is not positive definite. */
function solveSymmetric(a: readonly Float64Array[], b: Float64Array, damping: number): Float64Array | undefined {
  const size = b.length;
  const lower = a.map(() => new Float64Array(size));
  for (let i = 0; i < size; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = a[i]![j]! + (i === j ? damping : 0);
      for (let k = 0; k < j; k++) sum -= lower[i]![k]! * lower[j]![k]!;
      if (i === j && !(sum > 0)) return undefined;
      lower[i]![j] = i === j ? Math.sqrt(sum) : sum / lower[j]![j]!;
    }
  }
  const x = Float64Array.from(b);
  for (let i = 0; i < size; i++) {
    for (let k = 0; k < i; k++) x[i]! -= lower[i]![k]! * x[k]!;
    x[i]! /= lower[i]![i]!;
  }
  for (let i = size - 1; i >= 0; i--) {
    for (let k = i + 1; k < size; k++) x[i]! -= lower[k]![i]! * x[k]!;
    x[i]! /= lower[i]![i]!;
  }
  return x;
}
