import { seeded } from '../testing/random.js';
import { normal } from './policy.js';
import type { Solution } from './solve.js';

type Vector = Float64Array;

/**
 * The least value of a loss with kinks, by gradient sampling: the step is against the shortest convex combination of the
 * gradients around the point, and where that combination is zero there is no descent. The radius shrinks as it nears zero.
 * Burke, Lewis and Overton 2005. `gradient` and `residual` of the result are those of that combination.
 */
export function minimizeKinked(
  loss: (point: Vector) => number,
  gradient: (point: Vector) => Vector,
  start: Vector,
  { tolerance = 1e-9, radius = 1e-2, finest = 1e-7, steps = 2000 } = {},
): Solution {
  const random = seeded(start.length);
  let point: Vector = Float64Array.from(start);
  let value = loss(point);
  let reach = radius;
  let bound = 1e-2;
  let best: Vector = gradient(point);
  let taken = 0;
  let length = 1;
  for (; taken < steps; taken++) {
    const around = Array.from({ length: 2 * point.length }, () => gradient(nearby(point, reach, random)));
    best = shortestCombination([gradient(point), ...around]);
    const size = norm(best);
    if (size <= bound) {
      if (reach <= finest && size <= tolerance) break;
      reach = Math.max(reach / 4, finest);
      bound = Math.max(bound / 4, tolerance);
      if (reach <= finest && bound <= tolerance && size <= 10 * tolerance) break;
      continue;
    }
    const next = lineSearch(loss, point, value, best, size, length);
    if (next) [point, value, length] = [next.point, next.value, 4 * next.length];
    else if (reach <= finest) break;
    else reach = Math.max(reach / 4, finest);
  }
  return { point, gradient: best, residual: norm(best), steps: taken };
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

function lineSearch(
  loss: (point: Vector) => number,
  point: Vector,
  value: number,
  direction: Vector,
  size: number,
  longest: number,
) {
  for (let step = longest / size; step * size > 1e-12; step /= 2) {
    const moved = point.map((x, i) => x - step * direction[i]!);
    const there = loss(moved);
    if (there < value - 1e-6 * step * size * size) return { point: moved, value: there, length: step * size };
  }
  return undefined;
}

/** The point nearest to 0 in the convex hull of some vectors: mass moves from the worst vector in use to the best. Mitchell, Demyanov and Malozemov 1974. */
export function shortestCombination(vectors: readonly Vector[], steps = 5000): Vector {
  const products = vectors.map((a) => Float64Array.from(vectors, (b) => dot(a, b)));
  const weights = new Float64Array(vectors.length);
  weights[0] = 1;
  // Of each vector with the combination.
  const along = Float64Array.from(products[0]!);
  for (let i = 0; i < steps; i++) {
    let [to, from] = [0, -1];
    for (let at = 0; at < along.length; at++) {
      if (along[at]! < along[to]!) to = at;
      if (weights[at]! > 0 && (from < 0 || along[at]! > along[from]!)) from = at;
    }
    const gap = along[from]! - along[to]!;
    const apart = products[to]![to]! - 2 * products[to]![from]! + products[from]![from]!;
    if (!(gap > 1e-16 * products[0]![0]!) || !(apart > 0)) break;
    const share = Math.min(weights[from]!, gap / apart);
    weights[from]! -= share;
    weights[to]! += share;
    for (let at = 0; at < along.length; at++) along[at]! += share * (products[to]![at]! - products[from]![at]!);
  }
  return vectors[0]!.map((_, d) => vectors.reduce((sum, vector, at) => sum + weights[at]! * vector[d]!, 0));
}

function dot(a: Vector, b: Vector): number {
  return a.reduce((sum, value, i) => sum + value * b[i]!, 0);
}

function norm(values: Vector): number {
  return Math.sqrt(dot(values, values));
}
