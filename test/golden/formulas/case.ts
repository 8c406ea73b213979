/** A tensor of a golden file; numbers that are not finite are strings. */
export interface GoldenTensor {
  readonly shape: readonly number[];
  readonly data: readonly (number | string)[];
}

export type Expected = number | string | boolean | GoldenTensor | { readonly [name: string]: Expected };

export interface GoldenCase {
  readonly id: string;
  readonly batch: string;
  readonly variant: string;
  readonly params: Readonly<Record<string, unknown>>;
  readonly expected: Readonly<Record<string, Expected>>;
  readonly grads?: Readonly<Record<string, GoldenTensor>>;
  readonly tags?: readonly string[];
}

export interface GoldenFile {
  readonly format: string;
  /** The family: which of `formulas/` computes it. */
  readonly objective: string;
  readonly batches: Readonly<Record<string, Readonly<Record<string, GoldenTensor | number | string>>>>;
  readonly cases: readonly GoldenCase[];
}

/** A case's inputs, by name. */
export class Inputs {
  readonly #tensors: Readonly<Record<string, GoldenTensor | number | string>>;

  constructor(tensors: Readonly<Record<string, GoldenTensor | number | string>>) {
    this.#tensors = tensors;
  }

  has(name: string): boolean {
    return Object.hasOwn(this.#tensors, name);
  }

  shape(name: string): readonly number[] {
    const value = this.#at(name);
    return typeof value === 'object' ? value.shape : [];
  }

  /** Row-major; a scalar is one number. */
  numbers(name: string): Float64Array {
    const value = this.#at(name);
    return typeof value === 'object' ? Float64Array.from(value.data, Number) : Float64Array.of(Number(value));
  }

  mask(name: string): Uint8Array {
    return Uint8Array.from(this.numbers(name));
  }

  #at(name: string): GoldenTensor | number | string {
    const value = this.#tensors[name];
    if (value === undefined) throw new Error(`the batch has no \`${name}\`; it has ${Object.keys(this.#tensors)}`);
    return value;
  }
}

/** Carried by some cases whose variant has no use for them. */
const carried: Readonly<Record<string, (variant: string) => boolean>> = {
  tau: (variant) => variant !== 'discopop',
  delta_mean: (variant) => variant !== 'bco',
  delta_count: (variant) => variant !== 'bco',
};

/** A case's options. One that nobody read is one that nobody knows: the case fails. */
export class Params {
  readonly #values: Readonly<Record<string, unknown>>;
  readonly #read = new Set<string>();

  constructor(values: Readonly<Record<string, unknown>>) {
    this.#values = values;
  }

  has(name: string): boolean {
    return this.get(name) !== undefined;
  }

  /** As it stands in the file; `undefined` where it is absent or null. */
  get(name: string): unknown {
    this.#read.add(name);
    return this.#values[name] ?? undefined;
  }

  number(name: string, preset?: number): number {
    const value = this.get(name) ?? preset;
    if (value === 'Infinity') return Number.POSITIVE_INFINITY;
    if (typeof value !== 'number') throw new Error(`the option \`${name}\` should be a number, got ${value}`);
    return value;
  }

  /** A number that bounds something; infinite, it is `most`, which is above whatever there is. */
  bound(name: string, preset?: number, most = Number.MAX_VALUE): number {
    return Math.min(this.number(name, preset), most);
  }

  flag(name: string, preset = false): boolean {
    const value = this.get(name) ?? preset;
    if (typeof value !== 'boolean') throw new Error(`the option \`${name}\` should be true or false, got ${value}`);
    return value;
  }

  text<Word extends string>(name: string, words: readonly Word[], preset?: Word): Word {
    const value = this.get(name) ?? preset;
    const word = words.find((known) => known === value);
    if (word === undefined) throw new Error(`the option \`${name}\` should be one of ${words}, got ${value}`);
    return word;
  }

  unread(variant: string): string[] {
    return Object.keys(this.#values).filter((name) => !this.#read.has(name) && !carried[name]?.(variant));
  }
}

export type Numbers = number | ArrayLike<number> | { readonly [name: string]: Numbers };

/** What the package makes of a case: by the names of `expected`, and by the names of the inputs. */
export interface Outcome {
  readonly values: Readonly<Record<string, Numbers>>;
  readonly grads?: Readonly<Record<string, ArrayLike<number>>>;
}

export type Variant = (inputs: Inputs, params: Params, golden: GoldenCase) => Outcome;

/** By the name of a variant. */
export type Variants = Readonly<Record<string, Variant>>;
