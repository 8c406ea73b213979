/** Seeded ids in [0, vocabulary): a multiplicative generator, good enough for rows that only take time. */
export function randomIds(length: number, vocabulary: number, seed: number): number[] {
  let state = (seed + 1) * 48271;
  return Array.from({ length }, () => {
    state = (state * 48271) % 2147483647;
    return state % vocabulary;
  });
}
