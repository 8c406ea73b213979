import { testFormat } from '../testing/format-suite.js';
import { text } from './text.js';

testFormat({
  format: text,
  rows: [
    { text: 'The pond froze.', source: 'diary' },
    { text: 'A heron came.' },
    { text: 'It left.' },
    { text: 'Snow.' },
    { txt: 'Thaw.' },
  ],
  broken: 4,
  says: '`text`: expected text, received nothing',
  first: { text: 'The pond froze.' },
  extra: { source: 'diary' },
});
