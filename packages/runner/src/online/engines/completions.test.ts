import { describe, expect, it } from 'vitest';
import { type CompletionQuestion, readCompletions, requestBody } from './completions.js';

const question: CompletionQuestion = {
  ...{ model: 'm', prompt: [5, 6], completions: 2, maxNewTokens: 4, temperature: 1, stop: [0, 9], seed: 3 },
  vocabularySize: 100,
};
const choice = (index: number, given: object = {}) => ({
  ...{ index, finish_reason: 'length', token_ids: [7, 8, 7, 8], prompt_token_ids: [5, 6] },
  logprobs: { tokens: [], token_logprobs: [-1, -2, -3, -4] },
  ...given,
});
const read = (...choices: object[]) => readCompletions('http://s', JSON.stringify({ choices }), question);

it('asks for the distribution itself, whatever the server has as its defaults', () => {
  expect(JSON.parse(requestBody(question))).toMatchInlineSnapshot(`
    {
      "logprobs": 1,
      "max_tokens": 4,
      "min_p": 0,
      "model": "m",
      "n": 2,
      "prompt": [
        5,
        6,
      ],
      "repetition_penalty": 1,
      "return_token_ids": true,
      "return_tokens_as_token_ids": true,
      "seed": 3,
      "stop_token_ids": [
        0,
        9,
      ],
      "stream": false,
      "temperature": 1,
      "top_k": -1,
      "top_p": 1,
    }
  `);
});

describe('completions', () => {
  it('come in the order of their indices, ended by an end token or cut off', () => {
    const ended = { finish_reason: 'stop', token_ids: [7, 9], logprobs: { token_logprobs: [-0.5, -0.25] } };
    const [first, second] = read(choice(1), choice(0, ended));
    expect(first).toEqual({ ids: [7, 9], logprobs: Float64Array.of(-0.5, -0.25), ended: true });
    expect(second).toMatchObject({ ids: [7, 8, 7, 8], ended: false });
  });

  it('have an end token as their last even where that is also the last there was room for', () => {
    const [first] = read(choice(0, { token_ids: [7, 8, 7, 9] }), choice(1));
    expect(first!.ended).toBe(true);
  });

  it('may have their ids spelled as tokens', () => {
    const spelled = { tokens: ['token_id:7', 'token_id:12'], token_logprobs: [-1, -2] };
    const [first] = read(choice(0, { token_ids: null, logprobs: spelled }), choice(1));
    expect(first!.ids).toEqual([7, 12]);
  });

  it.each<[string, object, RegExp]>([
    [
      'no ids, some tokens spelled',
      { token_ids: null, logprobs: { tokens: ['token_id:7', 'a'], token_logprobs: [-1, -2] } },
      /without token ids/,
    ],
    ['no id at all', { token_ids: [], logprobs: { token_logprobs: [] } }, /there are 0 ids, expected 1 to 4/],
    ['more ids than were asked for', { token_ids: [7, 7, 7, 7, 7] }, /there are 5 ids, expected 1 to 4/],
    ['an end token within', { token_ids: [7, 9, 7, 8] }, /end token 9 does not end it.*stop_token_ids/],
    [
      'an end of its own',
      { finish_reason: 'stop', stop_reason: 42 },
      /ended by token 42.*no end token of the run \(\[0, 9\]\)/,
    ],
    [
      'a log-probability less',
      { logprobs: { token_logprobs: [-1] } },
      /expected 4 log-probabilities, one an id, got 1/,
    ],
    ['none for the first token', { logprobs: { token_logprobs: [null, -1, -1, -1] } }, /got none for token 0/],
    ['text for an id', { token_ids: ['7'] }, /`choices.0.token_ids.0`/],
  ])('with %s are refused, once and for all', (_, given, message) => {
    const refused = () => read(choice(0, given), choice(1));
    expect(refused).toThrow(message);
    expect(refused).toThrow(expect.objectContaining({ facts: expect.objectContaining({ again: false }) }));
  });

  it('that were broken off are worth another try', () => {
    for (const reason of ['abort', 'error', null])
      expect(() => read(choice(0, { finish_reason: reason }), choice(1))).toThrow(
        expect.objectContaining({ facts: expect.objectContaining({ again: true }) }),
      );
  });

  it('are each there once', () => {
    expect(() => read(choice(0), choice(0))).toThrow('expected 2 `choices` of indices from 0, got 2 of [0, 0]');
    expect(() => read(choice(0))).toThrow('got 1 of [0]');
    expect(() => readCompletions('http://s', '{"error":"busy"}', question)).toThrow('`choices`');
  });
});
