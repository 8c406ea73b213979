import { existsSync } from 'node:fs';
import { KelpieError } from './errors.js';
import type { Weights } from './parameters.js';
import type { SoupPart } from './types.js';
import { type Arithmetic, allocate } from './weights.js';

/** The parts of a reference: one folder is a soup of one. */
export function soupParts(reference: string | readonly SoupPart[]): readonly SoupPart[] {
  if (typeof reference === 'string') return [{ model: reference, weight: 1 }];
  const refuse = (message: string): never => {
    throw new KelpieError(message, { code: 'soup' });
  };
  if (reference.length === 0) refuse('a soup of models as the reference: expected at least one, got none');
  for (const { model, weight } of reference) {
    if (!Number.isFinite(weight)) refuse(`the weight of \`${model}\` is ${weight}: expected a finite number`);
  }
  const folders = reference.map(({ model }) => model);
  const twice = folders.find((folder, at) => folders.indexOf(folder) !== at);
  if (twice !== undefined) refuse(`\`${twice}\` is in the soup twice: name it once, with the sum of its weights`);
  const sum = reference.reduce((so, { weight }) => so + weight, 0);
  if (Math.abs(sum - 1) > 1e-6) {
    const told = reference.map(({ model, weight }) => `${model}=${weight}`).join(' ');
    refuse(`the weights of the soup sum to ${Number(sum.toPrecision(7))}, expected 1: ${told}`);
  }
  return reference;
}

/**
 * A reference from entries as a person writes them: a folder; or several folders with their weights behind, `one=0.7 two=0.3`;
 * or without any, all alike. What is there by its whole name is a folder: `runs/lr=0.1` beside others has its weight as
 * `runs/lr=0.1=0.5`.
 */
export function referenceOf(entries: readonly string[]): string | readonly SoupPart[] {
  const parts = entries.map((entry) => {
    if (existsSync(entry)) return { model: entry };
    const [, folder = '', number = ''] = /^(.*)=([^=]*)$/s.exec(entry) ?? [];
    const weight = number.trim() === '' ? Number.NaN : Number(number);
    return Number.isNaN(weight) ? { model: entry } : { model: folder, weight };
  });
  const [only] = parts;
  if (parts.length === 1 && only!.weight === undefined) return only!.model;
  const bare = parts.filter(({ weight }) => weight === undefined);
  if (bare.length > 0 && bare.length < parts.length) {
    throw new KelpieError(
      `\`${bare[0]!.model}\` has no weight and others have: write \`${bare[0]!.model}=0.5\`, or leave all weights out`,
      { code: 'soup' },
    );
  }
  return soupParts(parts.map(({ model, weight = 1 / parts.length }) => ({ model, weight })));
}

/**
 * A weighted mean of the weights of several models, tensor by tensor: θ = Σ_m w_m θ_m, summed in float64. Wortsman et al.
 * 2022, arXiv:2203.05482; as the reference of an RLHF run, Chegini et al. 2024, arXiv:2411.01798 (SALSA).
 *
 * @param load gives the weights of a folder: every one has the same tensors. One model is in memory beside the sum.
 */
export async function soupWeights(
  parts: readonly SoupPart[],
  load: (folder: string) => Promise<Weights>,
  dtype: Arithmetic,
): Promise<Weights> {
  const [only] = parts;
  if (parts.length === 1 && only!.weight === 1) return load(only!.model);
  const sums = new Map<string, Float64Array>();
  const shapes = new Map<string, readonly number[]>();
  for (const { model, weight } of parts) {
    for (const [name, { shape, data }] of await load(model)) {
      const sum = sums.get(name) ?? new Float64Array(data.length);
      for (let i = 0; i < data.length; i++) sum[i]! += weight * data[i]!;
      sums.set(name, sum);
      shapes.set(name, shape);
    }
  }
  const held = (values: Float64Array) => {
    const data = allocate(dtype, values.length);
    data.set(values);
    return data;
  };
  return new Map([...sums].map(([name, values]) => [name, { shape: shapes.get(name)!, data: held(values) }]));
}
