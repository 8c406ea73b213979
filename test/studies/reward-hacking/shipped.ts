import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { loadPreferences } from '@kelpie/data';
import { score } from '@kelpie/datasets/film-reviews/score';
import type { Tokenizer } from '@kelpie/policy';
import { rowReward } from '@kelpie/rewards';
import type { OnlinePrompt } from '@kelpie/runner';

const folder = fileURLToPath(new URL('../../../../datasets/film-reviews/', import.meta.url));

/** The shipped base model. */
export const base = `${folder}base`;

/** The true score of a review, in points. */
export const gold = rowReward(({ completion }) => score(completion), { name: 'gold' });

/** Prompts of a file of pairs, as a policy takes them. */
export function promptsOf(file: 'pairs' | 'heldout', tokenizer: Tokenizer): OnlinePrompt[] {
  const lines = readFileSync(`${folder}${file}.jsonl`, 'utf8').trim().split('\n');
  return lines.map((line, at) => {
    const { prompt } = JSON.parse(line) as { readonly prompt: string };
    return { id: `${file}-${at}`, text: prompt, ids: tokenizer.encode(prompt) };
  });
}

export async function pairsOf(file: 'pairs' | 'heldout', tokenizer: Tokenizer) {
  const { examples } = await loadPreferences({ files: [`${folder}${file}.jsonl`], tokenizer, maxLength: 128 });
  return examples;
}
