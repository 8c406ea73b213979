import { testFormat } from '../testing/format-suite.js';
import { messages } from './messages.js';

const user = (content: string) => ({ role: 'user', content });
const assistant = (content: string) => ({ role: 'assistant', content });

testFormat({
  format: messages,
  rows: [
    { messages: [user('Hi'), assistant('Hello!')] },
    {
      conversations: [
        { from: 'human', value: 'Hi' },
        { from: 'gpt', value: 'Hello!' },
      ],
    },
    { messages: [user('Hi'), user('Hi?'), assistant('Hello!')] },
    { messages: [user('A?'), assistant('B.'), user('C?'), assistant('D.')] },
    { messages: [{ role: 'system', content: 'Be kind.' }, user('Hi'), assistant('Hello!')] },
  ],
  broken: 2,
  says: '`text`: expected messages that the chat template takes, received its error: Roles must alternate',
  first: { text: [user('Hi'), assistant('Hello!')] },
});
