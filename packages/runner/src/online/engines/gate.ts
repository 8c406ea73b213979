/** Who asks: on whose behalf something is renewed. */
export interface Passer {
  readonly row: string;
  readonly signal: AbortSignal;
}

/**
 * Requests go through side by side while what they ask is fresh. Where it is stale it is renewed first, once, when nothing
 * is under way; whoever comes meanwhile waits.
 */
export class Gate {
  #stale: boolean;
  readonly #renew: (by: Passer) => Promise<void>;
  readonly #underWay = new Set<Promise<unknown>>();
  #renewal: Promise<void> | undefined;

  constructor({ stale, renew }: { readonly stale: boolean; readonly renew: (by: Passer) => Promise<void> }) {
    this.#stale = stale;
    this.#renew = renew;
  }

  /** `spoils`: whether a failure may have made stale what is asked. */
  async through<Result>(
    work: () => Promise<Result>,
    { spoils, ...by }: Passer & { readonly spoils: (error: unknown) => boolean },
  ): Promise<Result> {
    while (this.#stale) {
      this.#renewal ??= this.#renewed(by);
      await this.#renewal;
    }
    const working = work();
    this.#underWay.add(working);
    try {
      return await working;
    } catch (error) {
      this.#stale ||= spoils(error);
      throw error;
    } finally {
      this.#underWay.delete(working);
    }
  }

  async #renewed(by: Passer): Promise<void> {
    try {
      await Promise.allSettled(this.#underWay);
      await this.#renew(by);
      this.#stale = false;
    } finally {
      this.#renewal = undefined;
    }
  }
}
