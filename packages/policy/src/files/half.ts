/**
 * Half precision as bits. Decoding is exact; encoding rounds to nearest, ties to even, once, from float64: the value is
 * first rounded to float32 towards odd, which keeps the second rounding correct (Boldo and Melquiond 2008).
 */

const word = new Uint32Array(1);
const single = new Float32Array(word.buffer);

/** float32 bits of a float64, rounded to odd: truncated, with the last bit set if anything was lost. */
function oddSingleBits(value: number): number {
  single[0] = value;
  const rounded = single[0];
  let bits = word[0]!;
  if (rounded === value || Number.isNaN(value)) return bits;
  if (Math.abs(rounded) > Math.abs(value)) bits -= 1;
  return (bits | 1) >>> 0;
}

export function bfloat16FromNumber(value: number): number {
  const bits = oddSingleBits(value);
  if (Number.isNaN(value)) return (bits >>> 16) | 0x0040;
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff;
}

export function float16FromNumber(value: number): number {
  const bits = oddSingleBits(value);
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (Number.isNaN(value)) return sign | 0x7e00;
  if (magnitude >= 0x47800000) return sign | 0x7c00;
  if (magnitude >= 0x38800000) {
    // Normal: rebias the exponent by 112 and drop 13 bits; a carry out of the mantissa is the right exponent, or infinity.
    const rebased = magnitude - 0x38000000;
    return sign | ((rebased + 0xfff + ((rebased >>> 13) & 1)) >>> 13);
  }
  const shift = 126 - (magnitude >>> 23);
  if (shift > 24) return sign;
  const mantissa = (magnitude & 0x7fffff) | 0x800000;
  const kept = mantissa >>> shift;
  const lost = mantissa & ((1 << shift) - 1);
  const half = 1 << (shift - 1);
  return sign | (kept + (lost > half || (lost === half && (kept & 1) === 1) ? 1 : 0));
}

/** float32 bits of a bfloat16. */
export function singleBitsFromBfloat16(bits: number): number {
  return (bits << 16) >>> 0;
}

/** float32 bits of a float16. */
export function singleBitsFromFloat16(bits: number): number {
  const sign = (bits & 0x8000) << 16;
  const exponent = (bits >>> 10) & 0x1f;
  const mantissa = bits & 0x3ff;
  if (exponent === 0x1f) return (sign | 0x7f800000 | (mantissa << 13)) >>> 0;
  if (exponent !== 0) return (sign | ((exponent + 112) << 23) | (mantissa << 13)) >>> 0;
  if (mantissa === 0) return sign >>> 0;
  const leading = Math.clz32(mantissa) - 21;
  return (sign | ((113 - leading) << 23) | (((mantissa << leading) & 0x3ff) << 13)) >>> 0;
}
