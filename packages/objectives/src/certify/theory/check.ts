import { type EnumerableWorld, enumerableWorld } from '../../enumerable/index.js';

/** A statement of theory, checked on enumerable worlds. */
export interface TheoryCheck {
  readonly name: string;
  /** Authors, year, arXiv number, where there is one. */
  readonly paper?: string;
  readonly passed: boolean;
  /** How many cases hold, and the worst figure. */
  readonly found: string;
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

export const figure = (value: number) => value.toExponential(1);
