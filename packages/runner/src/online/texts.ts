import type { TextTokenizer } from '@kelpie/data';
import type { RewardRow } from '@kelpie/rewards';
import type { OnlinePrompt, Rollouts } from './rollouts.js';

type Decoder = Pick<TextTokenizer, 'decode'>;

/** Completions as rewards read them. Without a tokenizer the ids themselves are the text, separated by spaces. */
export function rewardRows({ prompts, completions }: Rollouts, tokenizer?: Decoder): RewardRow[] {
  const read = prompts.map((prompt) => promptRead(prompt, tokenizer));
  return completions.map(({ prompt: at, ids, ended }) => {
    const { id, ids: before, meta } = prompts[at]!;
    const { text, decoded } = read[at]!;
    return {
      prompt: text,
      completion: completionText({ ids: before, decoded }, ended ? ids.slice(0, -1) : ids, tokenizer),
      ids,
      ended,
      meta: { id, ...meta },
    };
  });
}

const skipping = { skipSpecialTokens: true };

/** A prompt as it is shown, and as the tokenizer has it. */
function promptRead({ text, ids }: OnlinePrompt, tokenizer: Decoder | undefined): { text: string; decoded: string } {
  const decoded = tokenizer?.decode(ids, skipping) ?? ids.join(' ');
  return { text: text ?? decoded, decoded };
}

/** Decoded behind its prompt, so that spaces at the boundary stay. */
function completionText(
  prompt: { readonly ids: readonly number[]; readonly decoded: string },
  ids: readonly number[],
  tokenizer: Decoder | undefined,
): string {
  if (tokenizer === undefined) return ids.join(' ');
  const both = tokenizer.decode([...prompt.ids, ...ids], skipping);
  return both.startsWith(prompt.decoded) ? both.slice(prompt.decoded.length) : tokenizer.decode(ids, skipping);
}
