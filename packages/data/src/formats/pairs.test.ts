import { testFormat } from '../testing/format-suite.js';
import { pairs } from './pairs.js';

testFormat({
  format: pairs,
  rows: [
    { prompt: 'Name a fruit.', chosen: ' A plum.', rejected: ' A brick.', score: 0.75 },
    { prompt: 'Name a bird.', chosen: ' A wren.', rejected: ' A boat.' },
    { prompt: '', chosen: 'Rain fell all night.', rejected: 'Rain rain rain.' },
    { prompt: 'Name a tree.', chosen: ' An elm.', rejected: 7 },
    { prompt: 'Name a fish.', chosen: ' A cod.', rejected: ' A fork.' },
  ],
  broken: 3,
  says: '`rejected`: expected text, received 7',
  first: { prompt: 'Name a fruit.', chosen: ' A plum.', rejected: ' A brick.' },
  extra: { score: 0.75 },
});
