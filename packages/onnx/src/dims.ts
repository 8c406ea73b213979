import type { Dim } from './graph.js';

/**
 * Sizes as monomials: a coefficient times symbols. `4*rows*tokens` is {4, [rows, tokens]}. Names that are no product
 * (`cache+1`) are symbols like any other.
 */
interface Monomial {
  readonly coefficient: number;
  readonly symbols: readonly string[];
}

function parse(dim: Dim): Monomial {
  if (typeof dim === 'number') return { coefficient: dim, symbols: [] };
  let coefficient = 1;
  const symbols: string[] = [];
  for (const part of dim.split('*')) {
    if (/^\d+$/.test(part)) coefficient *= Number(part);
    else symbols.push(part);
  }
  return { coefficient, symbols: symbols.sort() };
}

function format({ coefficient, symbols }: Monomial): Dim {
  if (symbols.length === 0 || coefficient === 0) return coefficient;
  const product = [...symbols].sort().join('*');
  return coefficient === 1 ? product : `${coefficient}*${product}`;
}

/** The product of sizes, in canonical form. */
export function product(dims: readonly Dim[]): Dim {
  let coefficient = 1;
  const symbols: string[] = [];
  for (const dim of dims) {
    const m = parse(dim);
    coefficient *= m.coefficient;
    symbols.push(...m.symbols);
  }
  return format({ coefficient, symbols });
}

/** The number that a size is, given its symbols; undefined where one is not given. */
export function sizeOf(dim: Dim, symbols: Readonly<Record<string, number>>): number | undefined {
  const { coefficient, symbols: names } = parse(dim);
  let size = coefficient;
  for (const name of names) {
    const value = symbols[name];
    if (value === undefined) return undefined;
    size *= value;
  }
  return size;
}

/** a / b, or undefined when b does not divide a. */
export function quotient(a: Dim, b: Dim): Dim | undefined {
  const x = parse(a);
  const y = parse(b);
  if (y.coefficient === 0 || x.coefficient % y.coefficient !== 0) return undefined;
  const symbols = [...x.symbols];
  for (const symbol of y.symbols) {
    const at = symbols.indexOf(symbol);
    if (at < 0) return undefined;
    symbols.splice(at, 1);
  }
  return format({ coefficient: x.coefficient / y.coefficient, symbols });
}

/** a + b; a symbol of its own unless both are numbers. */
export function sum(a: Dim, b: Dim): Dim {
  if (a === 0) return b;
  if (b === 0) return a;
  return typeof a === 'number' && typeof b === 'number' ? a + b : `(${a}+${b})`.replaceAll('*', '·');
}

export function sameShape(a: readonly Dim[], b: readonly Dim[]): boolean {
  return a.length === b.length && a.every((dim, i) => dim === b[i]);
}

/**
 * NumPy broadcasting of two shapes. A symbol meets a different symbol only by error: equal sizes must be called equal.
 */
export function broadcast(a: readonly Dim[], b: readonly Dim[], where: string): Dim[] {
  const rank = Math.max(a.length, b.length);
  const out: Dim[] = [];
  for (let i = 0; i < rank; i++) {
    const x = a[a.length - rank + i] ?? 1;
    const y = b[b.length - rank + i] ?? 1;
    if (x === y || y === 1) out.push(x);
    else if (x === 1) out.push(y);
    else throw new RangeError(`${where}: shapes [${a.join(', ')}] and [${b.join(', ')}] do not broadcast`);
  }
  return out;
}
