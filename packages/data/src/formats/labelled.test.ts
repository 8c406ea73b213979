import { expect, test } from 'vitest';
import { problemText } from '../error.js';
import { testFormat } from '../testing/format-suite.js';
import { labelled } from './labelled.js';

testFormat({
  format: labelled,
  rows: [
    { prompt: 'Two and two?', completion: ' Four.', label: true, source: 'sums' },
    { prompt: 'Two and three?', completion: ' Nine.', label: false },
    { prompt: 'Two and four?', completion: ' Six.', label: 'yes' },
    { prompt: [{ role: 'user', content: 'Hi' }], completion: [{ role: 'assistant', content: 'Hello!' }], label: 1 },
    { prompt: 'Two and six?', completion: ' Eleven.', label: 0 },
  ],
  broken: 2,
  says: '`label`: expected true or false, received "yes"',
  first: { prompt: 'Two and two?', completion: ' Four.', desirable: true },
  extra: { source: 'sums' },
});

test('a label that is missing is said beside all else that is wrong', () => {
  const parsed = labelled.parse({ prompt: 3, completion: 'a', label: null }, { file: 'rows.jsonl', line: 7 });
  expect('problems' in parsed && parsed.problems.map(problemText)).toEqual([
    'rows.jsonl:7 `prompt`: expected text, received 3',
    'rows.jsonl:7 `label`: expected true or false, received null',
  ]);
});
