import type { TextTokenizer } from '@kelpie/data';
import type { RewardRow } from '@kelpie/rewards';
import type { OnlinePrompt, Rollouts } from './rollouts.js';

type Decoder = Pick<TextTokenizer, 'decode'>;

/** Completions as rewards read them. Without a tokenizer the ids themselves are the text, separated by spaces. */
export function rewardRows({ prompts, completions }: Rollouts, tokenizer?: Decoder): RewardRow[] {
  return completions.map(({ prompt: at, ids, ended }) => {
    const prompt = prompts[at]!;
    const said = ended ? ids.slice(0, -1) : ids;
    return {
      prompt: promptText(prompt, tokenizer),
      completion: completionText(prompt.ids, said, tokenizer),
      ids,
      ended,
      meta: { id: prompt.id, ...prompt.meta },
    };
  });
}

function promptText({ text, ids }: OnlinePrompt, tokenizer: Decoder | undefined): string {
  return text ?? (tokenizer ? tokenizer.decode(ids, { skipSpecialTokens: true }) : ids.join(' '));
}

/** Decoded behind its prompt, so that spaces at the boundary stay. */
function completionText(prompt: readonly number[], ids: readonly number[], tokenizer: Decoder | undefined): string {
  if (tokenizer === undefined) return ids.join(' ');
  const options = { skipSpecialTokens: true };
  const before = tokenizer.decode(prompt, options);
  const both = tokenizer.decode([...prompt, ...ids], options);
  return both.startsWith(before) ? both.slice(before.length) : tokenizer.decode(ids, options);
}
