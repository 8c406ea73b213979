import { asTruth, Fields } from '../fields.js';
import type { Format, LabelledRow } from '../row.js';
import { promptCompletion } from './prompt-completion.js';

/**
 * `{ prompt, completion, label }`: a completion that is wanted or not; prompt and completion both text or both messages,
 * the label true or false, or 1 or 0. TRL's unpaired preference format.
 */
export const labelled: Format<LabelledRow> = {
  name: 'labelled',
  kind: 'labelled',
  wants: '`prompt` and `completion`, both as text or both as messages, and `label`, true or false',
  matches: (sample) => promptCompletion.matches(sample) && asTruth(sample.label) !== undefined,
  parse(value, where) {
    const fields = new Fields(value, where);
    const { prompt, completion } = fields.exchange();
    return fields.labelled(prompt, completion, fields.truth('label'));
  },
};
