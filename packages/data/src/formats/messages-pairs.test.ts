import { describe, expect, it } from 'vitest';
import { problemText } from '../error.js';
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
  says: '`chosen[0].content`: expected text, or a list of text parts, received nothing',
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

  it('reads past columns that are null, and content in parts, which it refused', () => {
    const parts = (...texts: string[]) => texts.map((text) => ({ type: 'text', text }));
    const row = {
      prompt: null,
      system: null,
      conversations: [{ role: 'user', content: parts('H', 'i') }],
      chosen: [{ role: 'assistant', content: parts('Hello!') }],
      rejected: [{ role: null, from: 'gpt', content: null, value: parts('What', '.') }],
    };
    expect(messagesPairs.matches(row)).toBe(true);
    expect(parse(row)).toMatchObject({
      row: { prompt: [user('Hi')], chosen: [assistant('Hello!')], rejected: [assistant('What.')] },
    });
    const odd = { type: 'image', image: 'cat.png' };
    const mixed = { role: 'assistant', content: [...parts('See'), odd, 'a cat', {}] };
    const refused = parse({ ...row, chosen: [mixed] });
    expect('problems' in refused && refused.problems.map(problemText)).toEqual([
      'rows.jsonl:1 `chosen[0].content[1]`: expected a text part, `{ type: \'text\', text }`, received a part of type "image"',
      'rows.jsonl:1 `chosen[0].content[2]`: expected a text part, `{ type: \'text\', text }`, received "a cat"',
      "rows.jsonl:1 `chosen[0].content[3]`: expected a text part, `{ type: 'text', text }`, received an empty object",
    ]);
    expect(messagesPairs.matches({ prompt: [user('Hi')], chosen: [assistant('A')], rejected: null })).toBe(false);
  });

  it('refuses conversations that share nothing', () => {
    const row = { chosen: [user('A'), assistant('B')], rejected: [user('C'), assistant('D')] };
    expect(parse(row)).toMatchObject({ problems: [{ code: 'no-shared-prompt' }] });
  });
});
