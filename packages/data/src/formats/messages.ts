import { Fields } from '../fields.js';
import type { Format, TextRow } from '../row.js';

/** `{ messages }`, or ShareGPT's `{ conversations }`: whole conversations. */
export const messages: Format<TextRow> = {
  name: 'messages',
  kind: 'text',
  wants: '`messages` or `conversations` as a list of messages',
  matches: (sample) => Array.isArray(sample.messages) || Array.isArray(sample.conversations),
  parse(value, where) {
    const fields = new Fields(value, where);
    const column = fields.has('messages') || !fields.has('conversations') ? 'messages' : 'conversations';
    if (typeof value[column] === 'string')
      fields.problem('wrong-type', column, 'a list of messages', `text: ${JSON.stringify(value[column]).slice(0, 40)}`);
    return fields.whole(column, fields.messages(column, 'user'));
  },
};
