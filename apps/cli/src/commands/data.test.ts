import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { lines, reviews, Workspace } from '../testing/workspace.js';

const { at, kelpie, trainBase } = new Workspace('data');

beforeAll(trainBase);

describe('data check', () => {
  it('says what is wrong, what it does and what to do, with exit code 1 where training would stop', async () => {
    writeFileSync(
      at('ill.jsonl'),
      [...lines('pairs.jsonl', 3), ...lines('pairs.jsonl', 1), '{"prompt": "a"}'].join('\n'),
    );
    const { code, out } = await kelpie(['data', 'check', at('ill.jsonl'), '--model', at('base', 'model')]);
    expect(code).toBe(1);
    expect(out).toMatchInlineSnapshot(`
      "data       ROOT/ill.jsonl: 5 rows, pairs
                 4 of 5 rows can be trained on, as pairs
                 368 tokens, 34.8 % of them prompts; with shared prompts computed once
                   304
                 the longer side wins in 75.0 % of the pairs, the shorter in 25.0 %

      tokens                    least  median  90 %  99 %  most
      prompt                       13      15    18    18    18
      chosen                       26      34    35    35    35
      rejected                     13      31    33    33    33
      longest side with prompt     44      49    53    53    53

      error: 1 of 5 (20.0 %) rows cannot be read as rows of this format: 2
        missing-field
        where  ROOT/ill.jsonl:5
        does   Training stops before it begins, unless bad rows are to be dropped.
        do     Mend them, or leave them out with \`--on-bad-row drop\`.

      warning: 1 of 5 (20.0 %) rows are copies of earlier rows
        where  ROOT/ill.jsonl:4
        does   They weigh as often as they stand there, and are memorised first.
        do     Keep one of each.
      "
    `);
  });

  it('finds an error in a file without rows', async () => {
    writeFileSync(at('empty.jsonl'), '');
    const { code, out } = await kelpie(['data', 'check', at('empty.jsonl')]);
    expect(code).toBe(1);
    expect(out).toContain('error: 0 of 0 (0.0 %) rows can be trained on');
    expect(out).not.toContain('nothing found');
  });

  it('ends with exit code 0 at warnings, here of held-out rows that are trained on', async () => {
    const argv = ['data', 'check', at('pairs.jsonl'), '--heldout', at('pairs.jsonl')];
    const { code, out } = await kelpie(argv);
    expect(code).toBe(0);
    expect(out).toContain('warning: 16 of 16 (100.0 %) held-out rows also stand in the data');
  });

  it('gives JSON', async () => {
    const { out } = await kelpie(['data', 'check', at('texts.jsonl'), '--json']);
    expect(JSON.parse(out)).toMatchObject({ kind: 'text', rows: 24, unit: 'characters', findings: [] });
  });

  it.each([
    ['llama', 2048, { max_position_embeddings: undefined }],
    ['gpt2', 1024, { model_type: 'gpt2', max_position_embeddings: undefined, n_embd: 16, n_layer: 1, n_head: 2 }],
  ])(
    'takes the context that training takes where the config of a %s names none: %i',
    async (family, context, changes) => {
      mkdirSync(at(family));
      const llama = JSON.parse(readFileSync(at('config.json'), 'utf8'));
      const config = family === 'llama' ? { ...llama, ...changes } : { vocab_size: 490, ...changes };
      writeFileSync(at(family, 'config.json'), JSON.stringify(config));
      copyFileSync(join(reviews, 'base', 'tokenizer.json'), at(family, 'tokenizer.json'));
      writeFileSync(at('endless.jsonl'), JSON.stringify({ text: 'The hero is irresistible. '.repeat(500) }));
      const check = ['data', 'check', at('endless.jsonl'), '--model', at(family), '--truncation', 'drop'];
      const { code, out } = await kelpie(check);
      expect(out).toContain('1 of 1 (100.0 %) rows do not fit the length and are left out');
      expect(code).toBe(1);
      const argv = ['data', 'check', at('texts.jsonl'), '--model', at(family), '--max-length', `${context + 1}`];
      expect((await kelpie(argv)).err).toBe(
        `error: --max-length: ${context + 1} is more than the model's context of ${context} tokens\n`,
      );
      const trained = ['train', 'sft', '--init', at(family, 'config.json'), '--data', at('texts.jsonl')];
      const { out: told } = await kelpie([...trained, '--out', at(`${family}-out`), '--dry-run']);
      expect(told).toContain(`context ${context} tokens`);
    },
  );

  it('reads no model that training would not', async () => {
    mkdirSync(at('other'));
    writeFileSync(at('other', 'config.json'), '{"model_type": "gptj"}');
    copyFileSync(join(reviews, 'base', 'tokenizer.json'), at('other', 'tokenizer.json'));
    const { code, err } = await kelpie(['data', 'check', at('texts.jsonl'), '--model', at('other')]);
    expect(err).toMatch(/^error: model_type "gptj" is not supported; there are gpt2, llama/);
    expect(code).toBe(2);
  });

  it.each([
    [['data', 'check', at('nowhere.jsonl')], /^error: Cannot read ROOT\/nowhere.jsonl/],
    [['data', 'check', at('texts.jsonl'), '--max-length', '8'], /^error: lengths are counted in tokens/],
    [['data', 'check', at('texts.jsonl'), '--model', at('nowhere')], /^error: --model: there is no folder/],
    [['data', 'check'], /^error: missing required argument `file`/],
  ])('refuses %j', async (argv, message) => {
    const { code, err } = await kelpie(argv);
    expect(code).toBe(2);
    expect(err).toMatch(message);
  });
});
