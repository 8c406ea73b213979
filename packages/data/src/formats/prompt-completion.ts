import { Fields, isTurns } from '../fields.js';
import type { CompletionRow, Format } from '../row.js';

/** `{ prompt, completion }`, both text or both messages: supervised rows. */
export const promptCompletion: Format<CompletionRow> = {
  name: 'prompt-completion',
  kind: 'completion',
  wants: '`prompt` and `completion`, both as text or both as messages',
  matches: ({ prompt, completion }) =>
    (typeof prompt === 'string' || isTurns(prompt)) && (typeof completion === 'string' || isTurns(completion)),
  parse(value, where) {
    const fields = new Fields(value, where);
    const { prompt, completion } = fields.exchange();
    return fields.completion(prompt, completion);
  },
};
