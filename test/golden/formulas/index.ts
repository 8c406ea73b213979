import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Variants } from './case.js';

/** The variants of a family, from the file of its name. */
export async function variantsOf(objective: string): Promise<Variants> {
  const here = fileURLToPath(new URL('.', import.meta.url));
  const found = /^\w+$/.test(objective)
    ? ['ts', 'js'].map((extension) => `${here}${objective}.${extension}`).find((file) => existsSync(file))
    : undefined;
  if (found === undefined) throw new Error(`no family of objectives \`${objective}\``);
  return ((await import(found)) as { readonly variants: Variants }).variants;
}
