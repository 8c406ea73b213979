import { seeded } from '../testing/random.js';
import { normal } from './policy.js';
import type { Solution } from './solve.js';

type Vector = Float64Array;

/** A tangent of the loss: where it was taken, the loss and the gradient there. */
interface Tangent {
  readonly point: Vector;
  readonly value: number;
  readonly gradient: Vector;
}

export interface KinkOptions {
  /** Residual at which to stop. */
  readonly tolerance?: number;
  readonly steps?: number;
}

/**
 * The least value of a convex loss with kinks, by a proximal bundle: tangents seen so far model the loss, and each step is
 * to the least of model plus squared distance. Lemaréchal 1975, Kiwiel 1990. `gradient` of the result is the shortest
 * combination of their gradients; nothing within a distance of 1 is lower by more than `residual`.
 */
export function minimizeKinked(
  loss: (point: Vector) => number,
  gradient: (point: Vector) => Vector,
  start: Vector,
  { tolerance = 1e-9, steps = 2000 }: KinkOptions = {},
): Solution {
  const tangentAt = (point: Vector): Tangent => ({ point, value: loss(point), gradient: gradient(point) });
  let center = tangentAt(Float64Array.from(start));
  let bundle = [center];
  let reach = 1 / Math.max(norm(center.gradient), Number.MIN_VALUE);
  let best = { gradient: center.gradient, residual: Number.POSITIVE_INFINITY };
  let taken = 0;
  for (; taken < steps && best.residual > tolerance; taken++) {
    const gaps = bundle.map((tangent) => gapAt(tangent, center));
    const { weights, combined } = combination(
      bundle.map((tangent) => tangent.gradient),
      gaps.map((gap) => gap / reach),
    );
    const size = norm(combined);
    const slack = weights.reduce((sum, weight, i) => sum + weight * gaps[i]!, 0);
    best = { gradient: combined, residual: size + slack };
    const next = tangentAt(center.point.map((x, i) => x - reach * combined[i]!));
    const gained = center.value - next.value;
    const promised = reach * size * size + slack;
    if (gained >= 0.1 * promised && gained > 0) {
      if (gained >= 0.5 * promised) reach *= 2;
      center = next;
    } else if (promised < 1e-12 * Math.max(1, Math.abs(center.value))) {
      // Too near for the loss to tell.
      reach *= 4;
    } else if (slack > size) reach /= 2;
    // Tangents in use carry the model; the others are forgotten when there are many.
    const kept = bundle.filter((_, i) => weights[i]! > 0 || bundle.length < 8 * start.length);
    bundle = [...new Set([...kept, center, next])];
  }
  return { point: center.point, ...best, steps: taken };
}

/** How far a tangent lies below the loss at the centre. */
function gapAt({ point, value, gradient }: Tangent, center: Tangent): number {
  const step = center.point.map((x, i) => x - point[i]!);
  return Math.max(0, center.value - value - dot(gradient, step));
}

/**
 * Slides along the jumps of a field to where it is at rest between its pieces: where the shortest convex combination of
 * what it is nearby is zero. Filippov 1960. `residual` is the size of that combination.
 */
export function slide(
  field: (point: Vector) => Vector,
  start: Vector,
  { radius = 1e-2, steps = 400, tolerance = 1e-6 } = {},
): Solution {
  const random = seeded(start.length);
  const around = (at: Vector) =>
    shortestCombination([field(at), ...Array.from({ length: 3 * at.length }, () => field(nearby(at, radius, random)))]);
  let point: Vector = Float64Array.from(start);
  let least: Vector = around(point);
  let taken = 0;
  for (; taken < steps && norm(least) > tolerance; taken++) {
    const step = Math.max(1, radius / norm(least));
    point = point.map((x, i) => x - step * least[i]!);
    least = around(point);
  }
  return { point, gradient: least, residual: norm(least), steps: taken };
}

/** Uniform in a ball. */
function nearby(point: Vector, radius: number, random: () => number): Vector {
  const direction = point.map(() => normal(random));
  const scale = (radius * random() ** (1 / point.length)) / norm(direction);
  return point.map((x, i) => x + scale * direction[i]!);
}

/** The point nearest to 0 in the convex hull of some vectors. */
export function shortestCombination(vectors: readonly Vector[]): Vector {
  return combination(
    vectors,
    vectors.map(() => 0),
  ).combined;
}

/**
 * The weights that sum to 1 and make |Σ w v|²/2 + Σ w cost least, by active sets: the vector that lowers it most comes in, the
 * least over the plane of those in use is taken, and who would get a negative weight on the way leaves. Wolfe 1976.
 */
function combination(vectors: readonly Vector[], costs: readonly number[]) {
  const products = vectors.map((a) => Float64Array.from(vectors, (b) => dot(a, b)));
  const weights = new Float64Array(vectors.length);
  let used = [costs.indexOf(Math.min(...costs))];
  weights[used[0]!] = 1;
  const slope = (at: number) => used.reduce((sum, other) => sum + weights[other]! * products[at]![other]!, costs[at]!);
  for (let round = 0; round < 10 * vectors.length; round++) {
    const slopes = vectors.map((_, at) => slope(at));
    const mean = used.reduce((sum, at) => sum + weights[at]! * slopes[at]!, 0);
    const entering = slopes.indexOf(Math.min(...slopes));
    if (slopes[entering]! >= mean - 1e-14 * Math.abs(mean) - 1e-300 || used.includes(entering)) break;
    used = [...used, entering];
    for (;;) {
      const wanted = leastInPlane(used, products, costs);
      const leaving = used.filter((_, i) => wanted[i]! <= 0);
      // How far towards it no weight turns negative.
      const share = used.reduce(
        (least, at, i) =>
          wanted[i]! < weights[at]! ? Math.min(least, weights[at]! / (weights[at]! - wanted[i]!)) : least,
        1,
      );
      used.forEach((at, i) => {
        weights[at] = Math.max(0, weights[at]! + share * (wanted[i]! - weights[at]!));
      });
      if (leaving.length === 0) break;
      const spent = used.filter((at) => weights[at]! <= 1e-15);
      for (const at of spent) weights[at] = 0;
      if (spent.length === 0 || spent.length === used.length) break;
      used = used.filter((at) => weights[at]! > 0);
    }
  }
  const sum = weights.reduce((so, weight) => so + weight, 0);
  const shares = weights.map((weight) => weight / sum);
  const combined = vectors[0]!.map((_, d) => vectors.reduce((so, vector, at) => so + shares[at]! * vector[d]!, 0));
  return { weights: shares, combined };
}

/** Weights of any sign that sum to 1 and make it least: products w + cost is the same for all in use. */
function leastInPlane(used: readonly number[], products: readonly Vector[], costs: readonly number[]): number[] {
  const size = used.length;
  const scale = Math.max(...used.map((at) => products[at]![at]!), Number.MIN_VALUE);
  const rows = used.map((at, i) => [
    ...used.map((other, j) => products[at]![other]! / scale + (i === j ? 1e-13 : 0)),
    1,
    -costs[at]! / scale,
  ]);
  rows.push([...used.map(() => 1), 0, 1]);
  return eliminated(rows).slice(0, size);
}

/** Solves [A | b] by elimination with row exchanges. */
function eliminated(rows: number[][]): number[] {
  const size = rows.length;
  for (let column = 0; column < size; column++) {
    let pivot = column;
    for (let row = column; row < size; row++) {
      if (Math.abs(rows[row]![column]!) > Math.abs(rows[pivot]![column]!)) pivot = row;
    }
    [rows[column], rows[pivot]] = [rows[pivot]!, rows[column]!];
    for (let row = column + 1; row < size; row++) {
      const factor = rows[row]![column]! / rows[column]![column]!;
      if (factor === 0) continue;
      for (let at = column; at <= size; at++) rows[row]![at]! -= factor * rows[column]![at]!;
    }
  }
  const x = new Array<number>(size).fill(0);
  for (let row = size - 1; row >= 0; row--) {
    const known = x.reduce((sum, value, at) => (at > row ? sum + rows[row]![at]! * value : sum), 0);
    x[row] = (rows[row]![size]! - known) / rows[row]![row]!;
  }
  return x;
}

function dot(a: Vector, b: Vector): number {
  return a.reduce((sum, value, i) => sum + value * b[i]!, 0);
}

function norm(values: Vector): number {
  return Math.sqrt(dot(values, values));
}
