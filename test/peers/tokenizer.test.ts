import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openTokenizer } from '@kelpie/policy';
import { AutoTokenizer, env } from '@xenova/transformers';
import { expect, test } from 'vitest';

const root = join(dirname(fileURLToPath(import.meta.url)), '../..');
const folder = join(root, 'datasets/film-reviews/base');

/** Texts of the shipped pairs, every tenth, prompts and completions together. */
function texts(): string[] {
  const lines = readFileSync(join(root, 'datasets/film-reviews/pairs.jsonl'), 'utf8').trim().split('\n');
  return lines
    .filter((_, i) => i % 10 === 0)
    .map((line) => JSON.parse(line) as { prompt: string; chosen: string })
    .map(({ prompt, chosen }) => prompt + chosen);
}

test("the shipped tokenizer's ids and texts are those of transformers.js", async () => {
  env.allowRemoteModels = false;
  const [ours, theirs] = await Promise.all([openTokenizer(folder), AutoTokenizer.from_pretrained(folder)]);
  for (const text of [...texts(), 'an unheard word', '', '  two  spaces']) {
    const ids = ours.encode(text);
    expect(ids, text).toEqual(theirs.encode(text));
    if (ids.length > 0) expect(ours.decode(ids)).toBe(theirs.decode(ids));
  }
});
