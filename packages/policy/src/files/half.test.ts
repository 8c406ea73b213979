import { Float16Array } from '@petamoriken/float16';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { bfloat16FromNumber, float16FromNumber, singleBitsFromBfloat16, singleBitsFromFloat16 } from './half.js';

function number(singleBits: number): number {
  return new Float32Array(new Uint32Array([singleBits]).buffer)[0]!;
}

test('all 65,536 float16 values decode as the peer decodes them, and encode back to themselves', () => {
  const bits = Uint16Array.from({ length: 65536 }, (_, i) => i);
  const peer = new Float16Array(bits.buffer);
  for (let i = 0; i < 65536; i++) {
    const value = number(singleBitsFromFloat16(i));
    expect(Object.is(value, peer[i]), `bits ${i}`).toBe(true);
    if (!Number.isNaN(value)) expect(float16FromNumber(value)).toBe(i);
  }
});

test('all 65,536 bfloat16 values encode back to themselves', () => {
  for (let i = 0; i < 65536; i++) {
    const value = number(singleBitsFromBfloat16(i));
    if (Number.isNaN(value)) expect(Number.isNaN(number(singleBitsFromBfloat16(bfloat16FromNumber(value))))).toBe(true);
    else expect(bfloat16FromNumber(value)).toBe(i);
  }
});

/** Nearest of all finite values and the overflow threshold, ties to even, by search: slow and plainly right. */
function nearest(value: number, decode: (bits: number) => number, infinity: number): number {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const magnitude = Math.abs(value);
  let low = 0;
  let high = infinity;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (number(decode(middle)) <= magnitude) low = middle;
    else high = middle;
  }
  const step = number(decode(low)) - number(decode(low - 1));
  const below = magnitude - number(decode(low));
  const above = (high === infinity ? number(decode(low)) + step : number(decode(high))) - magnitude;
  return sign | (below < above || (below === above && (low & 1) === 0) ? low : high);
}

test('float64 rounds to nearest even in one step, for float16 and bfloat16', () => {
  const cases = [
    [singleBitsFromFloat16, float16FromNumber, 0x7c00],
    [singleBitsFromBfloat16, bfloat16FromNumber, 0x7f80],
  ] as const;
  for (const [decode, encode, infinity] of cases) {
    const between = fc
      .tuple(
        fc.integer({ min: 1, max: infinity - 2 }),
        fc.constantFrom(0, 0.25, 0.5, 0.5 - 2 ** -30, 0.5 + 2 ** -30, 0.9),
        fc.boolean(),
      )
      .map(([bits, part, negative]) => {
        const low = number(decode(bits));
        return (low + (number(decode(bits + 1)) - low) * part) * (negative ? -1 : 1);
      });
    fc.assert(
      fc.property(fc.oneof(between, fc.double({ noNaN: true, min: -1e6, max: 1e6 })), (value) => {
        expect(encode(value)).toBe(nearest(value, decode, infinity));
      }),
      { numRuns: 3000 },
    );
    expect(encode(Number.POSITIVE_INFINITY)).toBe(infinity);
    expect(encode(1e300)).toBe(infinity);
    expect(encode(-1e300)).toBe(infinity | 0x8000);
  }
});
