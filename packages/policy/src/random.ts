import { createHash } from 'node:crypto';
import { uniformFloat64 } from 'pure-rand/distribution/uniformFloat64';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';

/** Uniform numbers in [0, 1), one stream per (seed, purpose). */
export function uniforms(seed: number, purpose: string): () => number {
  const generator = xoroshiro128plus(createHash('sha256').update(`${seed}/${purpose}`).digest().readInt32LE(0));
  return () => uniformFloat64(generator);
}

/** Standard normal numbers (Box-Muller), one stream per (seed, purpose). */
export function normals(seed: number, purpose: string): () => number {
  const uniform = uniforms(seed, purpose);
  let spare: number | undefined;
  return () => {
    if (spare !== undefined) {
      const x = spare;
      spare = undefined;
      return x;
    }
    const radius = Math.sqrt(-2 * Math.log(1 - uniform()));
    const angle = 2 * Math.PI * uniform();
    spare = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  };
}
