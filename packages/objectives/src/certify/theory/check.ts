import { type EnumerableWorld, enumerableWorld } from '../../enumerable/index.js';

/** A statement of theory, checked on enumerable worlds. */
export interface TheoryCheck {
  readonly name: string;
  /** Authors, year, arXiv number, where there is one. */
  readonly paper?: string;
  readonly passed: boolean;
  /** How many cases hold, and of what. */
  readonly found: string;
  /** The worst error and what is allowed, where the check is one of numbers. */
  readonly error?: number;
  readonly bound?: number;
}

/** A check that waits to be run, so that progress can be told. */
export interface NamedCheck {
  readonly name: string;
  run(): TheoryCheck;
}

export function theoryCheck(name: string, run: () => Omit<TheoryCheck, 'name'>): NamedCheck {
  return { name, run: () => ({ name, ...run() }) };
}

export const theorySeeds = Array.from({ length: 20 }, (_, seed) => seed);

/** Forty completions of up to three tokens out of four. */
export function theoryWorld(seed: number): EnumerableWorld {
  return enumerableWorld({ seed, vocabulary: 4, length: 3 });
}

/** What identities over enumerated worlds are held to. */
const IDENTITY = 1e-9;

/** All errors within `IDENTITY`. */
export function withinIdentity(errors: readonly number[], found: string): Omit<TheoryCheck, 'name' | 'paper'> {
  const error = Math.max(...errors);
  return { passed: error <= IDENTITY, found, error, bound: IDENTITY };
}
