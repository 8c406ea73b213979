// AssemblyScript. Places and sizes are in bytes; arrays are float32, padded with zeros to whole lanes.
// Lanes are float64, with the operations of `src/optimizers/adamw.ts` in their order: the results are the same bits.

/** Two numbers as float64. */
function read(at: usize): v128 {
  return f64x2.promote_low_f32x4(v128.load64_zero(at));
}

/** Rounds two numbers to float32. */
function write(at: usize, x: v128): void {
  v128.store64_lane(at, f32x4.demote_f64x2_zero(x), 0);
}

/** The update of `adamw`; `rest1`, `rest2` are 1 - b1, 1 - b2. Clears the gradient. */
export function adamw(
  parameter: usize,
  gradient: usize,
  m: usize,
  v: usize,
  size: usize,
  gradientScale: f64,
  beta1: f64,
  rest1: f64,
  beta2: f64,
  rest2: f64,
  keep: f64,
  rate: f64,
  correction: f64,
  eps: f64,
): void {
  for (let at: usize = 0; at < size; at += 8) {
    const g = f64x2.mul(read(gradient + at), f64x2.splat(gradientScale));
    const mi = f64x2.add(f64x2.mul(f64x2.splat(beta1), read(m + at)), f64x2.mul(f64x2.splat(rest1), g));
    const vi = f64x2.add(f64x2.mul(f64x2.splat(beta2), read(v + at)), f64x2.mul(f64x2.mul(f64x2.splat(rest2), g), g));
    const divisor = f64x2.add(f64x2.mul(f64x2.sqrt(vi), f64x2.splat(correction)), f64x2.splat(eps));
    const change = f64x2.div(f64x2.mul(f64x2.splat(rate), mi), divisor);
    write(m + at, mi);
    write(v + at, vi);
    write(parameter + at, f64x2.sub(f64x2.mul(read(parameter + at), f64x2.splat(keep)), change));
    store<i64>(gradient + at, 0);
  }
}

/** Squares of two numbers. */
function squares(at: usize): v128 {
  const x = read(at);
  return f64x2.mul(x, x);
}

/**
 * Adds the squares of four arrays, each in its order, to four float64 at `sums`. A sum waits for its own last addition;
 * four of them wait together.
 */
export function sumsOfSquares(a: usize, b: usize, c: usize, d: usize, size: usize, sums: usize): void {
  let ab = v128.load(sums, 0);
  let cd = v128.load(sums, 16);
  for (let at: usize = 0; at < size; at += 8) {
    const as = squares(a + at);
    const bs = squares(b + at);
    const cs = squares(c + at);
    const ds = squares(d + at);
    ab = f64x2.add(f64x2.add(ab, v128.shuffle<f64>(as, bs, 0, 2)), v128.shuffle<f64>(as, bs, 1, 3));
    cd = f64x2.add(f64x2.add(cd, v128.shuffle<f64>(cs, ds, 0, 2)), v128.shuffle<f64>(cs, ds, 1, 3));
  }
  v128.store(sums, ab, 0);
  v128.store(sums, cd, 16);
}
