import { Fields } from '../fields.js';
import type { CompletionRow, Format } from '../row.js';

const isTurns = (value: unknown) => typeof value === 'object' && value !== null;

/** `{ prompt, completion }`, both text or both messages: supervised rows, and those of KTO with their `label`. */
export const promptCompletion: Format<CompletionRow> = {
  name: 'prompt-completion',
  kind: 'completion',
  wants: '`prompt` and `completion`, both as text or both as messages',
  matches: ({ prompt, completion }) =>
    (typeof prompt === 'string' || isTurns(prompt)) && (typeof completion === 'string' || isTurns(completion)),
  parse(value, where) {
    const fields = new Fields(value, where);
    if (isTurns(value.prompt) || isTurns(value.completion))
      return fields.completion(fields.messages('prompt', 'user'), fields.messages('completion', 'assistant'));
    return fields.completion(fields.text('prompt'), fields.text('completion'));
  },
};
