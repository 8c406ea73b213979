import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { KelpieError } from './errors.js';

interface TokenizerFile {
  readonly model?: { readonly vocab?: Readonly<Record<string, number>> | readonly (readonly [string, number])[] };
  readonly added_tokens?: readonly { readonly id: number; readonly content: string }[];
}

/**
 * Throws where an id means one token in one folder and another in the next: then log-probabilities of the same ids would be
 * of different texts. How text is cut into tokens may differ, and so may ids that only one of them has; a folder without
 * tokenizer.json is passed over.
 */
export async function requireSameTokens(folders: readonly string[]): Promise<void> {
  const files = folders.map((folder) => join(folder, 'tokenizer.json')).filter((file) => existsSync(file));
  const [first, ...others] = [...new Set(files)];
  if (first === undefined || others.length === 0) return;
  const bytes = await readFile(first);
  let own: ReadonlyMap<number, string> | undefined;
  for (const file of others) {
    const theirs = await readFile(file);
    if (theirs.equals(bytes)) continue;
    own ??= tokensOf(bytes, first);
    const known = own;
    const tokens = tokensOf(theirs, file);
    const id = [...tokens.keys()].find((id) => known.has(id) && known.get(id) !== tokens.get(id));
    if (id === undefined) continue;
    throw new KelpieError(
      `token ${id} is ${JSON.stringify(tokens.get(id))} here and ${JSON.stringify(known.get(id))} in ${first}: a reference must have the policy's tokenizer`,
      { code: 'reference-tokenizer', where: { file } },
    );
  }
}

function tokensOf(bytes: Buffer, file: string): ReadonlyMap<number, string> {
  let parsed: TokenizerFile;
  try {
    parsed = JSON.parse(bytes.toString()) as TokenizerFile;
  } catch (cause) {
    throw new KelpieError('not JSON: the tokenizer is damaged', { code: 'tokenizer', where: { file }, cause });
  }
  const vocab = parsed.model?.vocab ?? {};
  const listed: [number, string][] = Array.isArray(vocab)
    ? vocab.map(([token], id) => [id, token])
    : Object.entries(vocab).map(([token, id]) => [id as number, token]);
  return new Map([...listed, ...(parsed.added_tokens ?? []).map(({ id, content }): [number, string] => [id, content])]);
}
