/** One of those that take turns. */
export interface Contestant<Result> {
  readonly name: string;
  /** It may fail, and is then left out with a word. */
  readonly optional?: boolean;
  readonly run: () => Promise<Result>;
}

/** Everyone once a round, in order: what slows the machine down for a while slows all of them. */
export async function interleaved<Result>(
  contestants: readonly Contestant<Result>[],
  rounds: number,
  describe: (result: Result) => string,
): Promise<Map<string, Result[]>> {
  const results = new Map<string, Result[]>();
  const out = new Set<string>();
  for (let round = 1; round <= rounds; round++) {
    for (const { name, optional = false, run } of contestants) {
      if (out.has(name)) continue;
      try {
        const result = await run();
        results.set(name, [...(results.get(name) ?? []), result]);
        console.error(`round ${round}, ${name}: ${describe(result)}`);
      } catch (error) {
        if (!optional) throw error;
        out.add(name);
        results.delete(name);
        console.error(`${name} is left out: ${error instanceof Error ? error.message : error}`);
      }
    }
  }
  return results;
}
