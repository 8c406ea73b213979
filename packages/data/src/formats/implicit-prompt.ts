import { show } from '../error.js';
import { Fields, isGiven } from '../fields.js';
import type { Format, PairRow } from '../row.js';

const turn = '\n\nAssistant:';

/** Columns that hold a prompt under another name: then `chosen` and `rejected` are no whole dialogues. */
const prompts = ['prompt', 'conversations', 'messages', 'instruction', 'question', 'query', 'input', 'context'];

function commonPrefix(a: string, b: string): string {
  let i = 0;
  while (i < a.length && i < b.length && a[i] === b[i]) i++;
  return a.slice(0, i);
}

/** Where the prompt ends; see the format's doc. */
function promptEnd(chosen: string, rejected: string): number {
  const shared = commonPrefix(chosen, rejected);
  const marker = shared.lastIndexOf(turn);
  if (marker >= 0) return marker + turn.length;
  const atWord = [chosen, rejected].every((text) => /^(?:\s|$)/.test(text.slice(shared.length)));
  return (atWord ? shared : shared.replace(/\S+$/, '')).replace(/ $/, '').length;
}

/**
 * `{ chosen, rejected }`, two whole dialogues that begin alike, as in hh-rlhf. The prompt ends behind the last
 * `\n\nAssistant:` that both share, and the space behind it belongs to the completions. TRL's `extract_prompt` takes the
 * longest common prefix of characters, so that two answers that both begin with "I" get a prompt that ends in "I"; a
 * prompt that ends with the turn's marker is what the model will be given later. Without such turns the longest common
 * prefix is taken, back to its last whole word, and a space at its end is left to the completions, as TRL does (which
 * would cut inside a word).
 */
export const implicitPrompt: Format<PairRow> = {
  name: 'implicit-prompt',
  kind: 'pair',
  wants: '`chosen` and `rejected` as text that begins alike, and no column with the prompt',
  matches: (sample) =>
    typeof sample.chosen === 'string' &&
    typeof sample.rejected === 'string' &&
    !prompts.some((column) => isGiven(sample[column])),
  parse(value, where) {
    const fields = new Fields(value, where);
    const chosen = fields.text('chosen');
    const rejected = fields.text('rejected');
    const end = chosen === rejected ? 0 : promptEnd(chosen, rejected);
    if (end === 0 && chosen !== '' && rejected !== '' && chosen !== rejected)
      fields.problem(
        'no-shared-prompt',
        'rejected',
        `text that begins like \`chosen\`, ${show(chosen)}`,
        show(rejected),
      );
    return fields.pair(chosen.slice(0, end), chosen.slice(end), rejected.slice(end));
  },
};
