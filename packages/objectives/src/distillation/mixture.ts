/** log(share + (1-share) e^x), 0 < share < 1, with all digits near x = 0: log(1 + (1-share)(e^x - 1)). */
export function logMixture(share: number, x: number): number {
  return x <= 0 ? Math.log1p((1 - share) * Math.expm1(x)) : x + Math.log1p(share * Math.expm1(-x));
}
