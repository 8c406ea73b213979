import { Fields } from '../fields.js';
import type { Format, TextRow } from '../row.js';

/** `{ text }`: every token but the first counts. */
export const text: Format<TextRow> = {
  name: 'text',
  kind: 'text',
  wants: '`text` as text',
  matches: (sample) => typeof sample.text === 'string',
  parse(value, where) {
    const fields = new Fields(value, where);
    return fields.whole('text', fields.text('text'));
  },
};
