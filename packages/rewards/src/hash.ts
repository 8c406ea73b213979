import { createHash } from 'node:crypto';

/** Two numbers in (0, 1), 52 bits each, that depend on nothing but the seed and the texts. */
export function hashedUniforms(seed: number, ...texts: readonly string[]): readonly [number, number] {
  const digest = createHash('sha256')
    .update(JSON.stringify([seed, ...texts]))
    .digest();
  const uniform = (at: number): number => (Number(digest.readBigUInt64LE(at) >> 12n) + 0.5) / 2 ** 52;
  return [uniform(0), uniform(8)];
}
