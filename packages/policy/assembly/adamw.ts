// AssemblyScript. Places and sizes are in bytes; arrays are float32, padded with zeros to whole lanes.
// Operations are those of `src/optimizers/adamw.ts` in their order, lanes as wide as there: the results are the same bits.

/** The update of `adamw`; `rest1` and `rest2` are 1 - b1 and 1 - b2. Clears the gradient. */
export function adamw(
  parameter: usize,
  gradient: usize,
  m: usize,
  v: usize,
  size: usize,
  gradientScale: f32,
  beta1: f32,
  rest1: f32,
  beta2: f32,
  rest2: f32,
  decay: f32,
  rate: f32,
  correction: f32,
  eps: f32,
): void {
  for (let at: usize = 0; at < size; at += 16) {
    const g = f32x4.mul(v128.load(gradient + at), f32x4.splat(gradientScale));
    const m0 = v128.load(m + at);
    const mi =
      rest1 < 0.5
        ? f32x4.add(m0, f32x4.mul(f32x4.splat(rest1), f32x4.sub(g, m0)))
        : f32x4.add(g, f32x4.mul(f32x4.splat(beta1), f32x4.sub(m0, g)));
    const vi = f32x4.add(
      f32x4.mul(f32x4.splat(beta2), v128.load(v + at)),
      f32x4.mul(f32x4.splat(rest2), f32x4.mul(g, g)),
    );
    const divisor = f32x4.add(f32x4.mul(f32x4.sqrt(vi), f32x4.splat(correction)), f32x4.splat(eps));
    const p = v128.load(parameter + at);
    const change = f32x4.add(f32x4.mul(f32x4.splat(decay), p), f32x4.div(f32x4.mul(f32x4.splat(rate), mi), divisor));
    v128.store(m + at, mi);
    v128.store(v + at, vi);
    v128.store(parameter + at, f32x4.sub(p, change));
    v128.store(gradient + at, i64x2.splat(0));
  }
}

/** Two numbers as float64. */
function read(at: usize): v128 {
  return f64x2.promote_low_f32x4(v128.load64_zero(at));
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
