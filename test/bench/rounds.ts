import { canSlice, Slices } from './slices.js';

/** One of those that take turns. */
export interface Contestant<Result> {
  readonly name: string;
  /** It may fail, and is then left out with a word. */
  readonly optional?: boolean;
  readonly run: (slices?: Slices) => Promise<Result>;
}

/**
 * Everyone once a round, in order: what slows the machine down for a while slows all of them. With `sliceMs` a round's
 * programs run at the same time and take turns of that length (see `Slices`), where the system can stop them.
 */
export async function interleaved<Result>(
  contestants: readonly Contestant<Result>[],
  rounds: number,
  describe: (result: Result) => string,
  { sliceMs }: { readonly sliceMs?: number } = {},
): Promise<Map<string, Result[]>> {
  const results = new Map<string, Result[]>(contestants.map(({ name }) => [name, []]));
  const take = async ({ name, optional = false, run }: Contestant<Result>, round: number, slices?: Slices) => {
    const before = results.get(name);
    if (before === undefined) return;
    try {
      const result = await run(slices);
      before.push(result);
      console.error(`round ${round}, ${name}: ${describe(result)}`);
    } catch (error) {
      if (!optional) throw error;
      results.delete(name);
      console.error(`${name} is left out: ${error instanceof Error ? error.message : error}`);
    }
  };
  for (let round = 1; round <= rounds; round++) {
    if (sliceMs !== undefined && canSlice) {
      const slices = new Slices(sliceMs);
      await Promise.all(contestants.map((contestant) => take(contestant, round, slices)));
    } else for (const contestant of contestants) await take(contestant, round);
  }
  return results;
}
