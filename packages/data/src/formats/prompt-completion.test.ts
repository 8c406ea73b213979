import { testFormat } from '../testing/format-suite.js';
import { promptCompletion } from './prompt-completion.js';

testFormat({
  format: promptCompletion,
  rows: [
    { prompt: 'Two and two?', completion: ' Four.', label: true },
    { prompt: 'Two and three?', completion: ' Five.' },
    { prompt: 'Two and four?', completion: ' ' },
    { prompt: [{ role: 'user', content: 'Hi' }], completion: [{ role: 'assistant', content: 'Hello!' }] },
    { prompt: 'Two and six?', completion: ' Eight.' },
  ],
  broken: 2,
  says: '`completion`: expected a completion with words, received " "',
  first: { prompt: 'Two and two?', completion: ' Four.' },
  extra: { label: true },
});
