import { describe, expect, it } from 'vitest';
import { testFormat } from '../testing/format-suite.js';
import { messagesPairs } from './messages-pairs.js';

const user = (content: string) => ({ role: 'user', content });
const assistant = (content: string) => ({ role: 'assistant', content });

testFormat({
  format: messagesPairs,
  rows: [
    { prompt: [user('Hi')], chosen: [assistant('Hello!')], rejected: [assistant('Go.')], margin: 2 },
    { chosen: [user('Hi'), assistant('Hello!')], rejected: [user('Hi'), assistant('No.')] },
    {
      conversations: [
        { from: 'system', value: 'Be kind.' },
        { from: 'human', value: 'Hi' },
      ],
      chosen: { from: 'gpt', value: 'Hello!' },
      rejected: { from: 'gpt', value: 'What.' },
    },
    { prompt: [user('Hi')], chosen: [{ role: 'assistant' }], rejected: [assistant('Go.')] },
    { prompt: 'Hi', chosen: [user('Hi'), assistant('Hello!')], rejected: [user('Hi'), assistant('Nope.')] },
  ],
  broken: 3,
  says: '`chosen[0].content`: expected text, received nothing',
  first: { prompt: [user('Hi')], chosen: [assistant('Hello!')], rejected: [assistant('Go.')] },
  extra: { margin: 2 },
});

describe('conversational pairs', () => {
  const parse = (row: Record<string, unknown>) => messagesPairs.parse(row, { file: 'rows.jsonl', line: 1 });

  it('reads ShareGPT turns and a system column', () => {
    const row = {
      system: 'Be kind.',
      conversations: [{ from: 'human', value: 'Hi' }],
      chosen: { from: 'gpt', value: 'Hello!' },
      rejected: 'What.',
    };
    expect(parse(row)).toMatchObject({
      row: {
        prompt: [{ role: 'system', content: 'Be kind.' }, user('Hi')],
        chosen: [assistant('Hello!')],
        rejected: [assistant('What.')],
        extra: {},
      },
    });
  });

  it('takes a shared first answer into the prompt', () => {
    const start = [user('Hi'), assistant('Hello!'), user('More?')];
    expect(parse({ chosen: [...start, assistant('Yes.')], rejected: [...start, assistant('No.')] })).toMatchObject({
      row: { prompt: start, chosen: [assistant('Yes.')], rejected: [assistant('No.')] },
    });
  });

  it('takes back what the two share where it is the user who parts them', () => {
    const chosen = [user('Hi'), assistant('Hello!'), user('A?'), assistant('Yes.')];
    const rejected = [user('Hi'), assistant('Hello!'), user('B?'), assistant('No.')];
    expect(parse({ chosen, rejected })).toMatchObject({
      row: { prompt: [user('Hi')], chosen: chosen.slice(1), rejected: rejected.slice(1) },
    });
  });

  it('refuses conversations that share nothing', () => {
    const row = { chosen: [user('A'), assistant('B')], rejected: [user('C'), assistant('D')] };
    expect(parse(row)).toMatchObject({ problems: [{ code: 'no-shared-prompt' }] });
  });
});
