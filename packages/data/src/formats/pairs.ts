import { Fields } from '../fields.js';
import type { Format, PairRow } from '../row.js';

/** `{ prompt, chosen, rejected }`, all text: TRL's explicit preference format. */
export const pairs: Format<PairRow> = {
  name: 'pairs',
  kind: 'pair',
  wants: '`prompt`, `chosen` and `rejected` as text',
  matches: ({ prompt, chosen, rejected }) =>
    typeof prompt === 'string' && typeof chosen === 'string' && typeof rejected === 'string',
  parse(value, where) {
    const fields = new Fields(value, where);
    return fields.pair(fields.text('prompt'), fields.text('chosen'), fields.text('rejected'));
  },
};
