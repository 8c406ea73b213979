import { describe, expect, it } from 'vitest';
import type { DataError } from './error.js';
import type { CompletionRow, Content } from './row.js';
import { render } from './template.js';
import { toyTokenizer } from './testing/toy-tokenizer.js';

const user = (content: string) => ({ role: 'user', content });
const assistant = (content: string) => ({ role: 'assistant', content });
const row = (prompt: Content, completion: Content): CompletionRow => ({
  kind: 'completion',
  id: 'rows.jsonl:1',
  where: { file: 'rows.jsonl', line: 1 },
  extra: {},
  prompt,
  completion,
});

describe('rendering', () => {
  it('leaves text as it is', () => {
    expect(render(row('a', ' b'), toyTokenizer())).toEqual({ prompt: 'a', completions: [' b'], templated: false });
  });

  it('ends a prompt of turns with the opening of the answer', () => {
    expect(render(row([user('Hi')], [assistant('Hello')]), toyTokenizer())).toEqual({
      prompt: '<user>Hi\n<assistant>',
      completions: ['Hello</s>'],
      templated: true,
    });
  });

  it('refuses a template that writes the prompt otherwise once an answer stands behind it', () => {
    const tokenizer = toyTokenizer();
    const forgetful = {
      ...tokenizer,
      applyChatTemplate: (messages: readonly { role: string; content: string }[], options = {}) =>
        tokenizer.applyChatTemplate(messages.length > 1 ? messages.slice(-1) : messages, options),
    };
    expect(render(row([user('Hi')], [assistant('Hello')]), forgetful)).toEqual({
      problem: {
        code: 'template-mismatch',
        where: { file: 'rows.jsonl', line: 1 },
        field: 'completion',
        expected: 'a conversation whose text begins with that of the prompt, "<user>Hi\\n<assistant>"',
        received: '"<assistant>Hello</s>"',
      },
    });
  });

  it('names the field that the template refuses', () => {
    const twice = row([user('Hi'), user('Hi')], [assistant('Hello')]);
    expect(render(twice, toyTokenizer())).toMatchObject({
      problem: { code: 'template-refused', field: 'prompt', received: 'its error: Roles must alternate' },
    });
  });

  it('needs a chat template', () => {
    expect(() => render(row([user('Hi')], [assistant('Hello')]), toyTokenizer({ template: false }))).toThrow(
      expect.objectContaining<Partial<DataError>>({ code: 'no-chat-template' }),
    );
  });
});
