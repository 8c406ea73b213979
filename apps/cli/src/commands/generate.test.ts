import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openTokenizer } from '@kelpie/policy';
import { beforeAll, describe, expect, it } from 'vitest';
import { reviews, rowsIn, Workspace } from '../testing/workspace.js';

const { at, kelpie, trainBase } = new Workspace('generate');

beforeAll(trainBase);

describe('generate', () => {
  const model = ['--model', at('base', 'model'), '--threads', '1', '--max-new-tokens', '6'];

  it('gives the same completions for the same seed, others for another', async () => {
    const argv = ['generate', ...model, '-p', 'Review of the drama', 'My review', '-n', '2'];
    const [a, b, c] = [await kelpie(argv), await kelpie(argv), await kelpie([...argv, '--seed', '1'])];
    expect(a.code, a.err).toBe(0);
    expect(a.out).toBe(b.out);
    expect(a.out).not.toBe(c.out);
    expect(a.out).toMatch(/^Review of the drama\n {2}1 .*\n {2}2 .*\n\nMy review\n {2}1 /s);
  });

  it('gives JSON whose parts fit together', async () => {
    writeFileSync(at('prompts.jsonl'), '{"prompt":"Review of the drama"}\n{"prompt":"My review"}\n');
    const { out } = await kelpie(['generate', ...model, '--prompts', at('prompts.jsonl'), '--json']);
    const rows = rowsIn(out);
    expect(rows.map(({ prompt }) => prompt)).toEqual(['Review of the drama', 'My review']);
    for (const { ids, logprobs, tokens, sequenceLogprob } of rows) {
      expect(ids).toHaveLength(tokens);
      expect(logprobs.reduce((a: number, b: number) => a + b, 0)).toBeCloseTo(sequenceLogprob, 12);
    }
  });

  it.each([
    [['generate', '-p', 'a'], 'which model? Give a model folder with `--model`, or a PEFT folder with `--adapter`'],
    [
      ['generate', '--model', at('base', 'model')],
      'no prompt: give one with `--prompt`, or a file of them with `--prompts`',
    ],
    [['generate', '--model', at('nowhere'), '-p', 'a'], '--model: there is no folder `ROOT/nowhere`'],
    [
      ['generate', ...model, '-p', 'a', '--top-p', '2'],
      'option `--top-p <n>` argument `2` is invalid. Expected a number above 0, up to 1. (`kelpie generate --help`)',
    ],
  ])('refuses %j', async (argv, message) => {
    expect(await kelpie(argv)).toMatchObject({ code: 2, err: `error: ${message}\n` });
  });
});

describe('score', () => {
  it('gives both sides of pairs, and rewards of 0 against itself', async () => {
    const model = at('base', 'model');
    const { code, out, err } = await kelpie([
      'score',
      '--model',
      model,
      '--reference',
      model,
      '--data',
      at('heldout.jsonl'),
      '--json',
      '--tokens',
    ]);
    expect(code, err).toBe(0);
    const rows = rowsIn(out);
    expect(rows).toHaveLength(6);
    for (const { chosen, rejected, margin, rewardMargin } of rows) {
      expect(margin).toBe(chosen.sequenceLogprob - rejected.sequenceLogprob);
      expect(Math.abs(rewardMargin)).toBeLessThan(1e-5);
      expect(Math.abs(chosen.reverseKl)).toBeLessThan(1e-5);
      expect(chosen.perToken).toHaveLength(chosen.tokens);
      expect(chosen.averageLogprob).toBeCloseTo(chosen.sequenceLogprob / chosen.tokens, 12);
      expect(chosen.perToken.map(({ text }: { text: string }) => text).join('')).toBe(`${chosen.completion}<eos>`);
    }
  });

  it('gives what generate says of its own completions', async () => {
    const model = ['--model', at('base', 'model'), '--threads', '1'];
    const argv = ['generate', ...model, '-p', 'My review', '--json', '--max-new-tokens', '100', '-n', '64'];
    const tokenizer = await openTokenizer(join(reviews, 'base'));
    // What was sampled as other pieces than its text makes is another row to a tokenizer.
    const made = rowsIn((await kelpie(argv)).out).filter(({ prompt, completion, ids, ended }) => {
      const again = tokenizer.encode(`${prompt}${completion}<eos>`).join();
      return ended && completion !== '' && again === [...tokenizer.encode(prompt), ...ids].join();
    });
    expect(made.length).toBeGreaterThan(0);
    writeFileSync(at('made.jsonl'), made.map((row) => JSON.stringify(row)).join('\n'));
    const scored = rowsIn((await kelpie(['score', ...model, '--data', at('made.jsonl'), '--json'])).out);
    for (const [i, { sequenceLogprob }] of made.entries()) {
      expect(scored[i].sequenceLogprob).toBeCloseTo(sequenceLogprob, 3);
    }
  });

  it('tells people of pairs and of text', async () => {
    const model = ['--model', at('base', 'model')];
    const pairs = await kelpie(['score', ...model, '--data', at('heldout.jsonl')]);
    expect(pairs.out).toMatch(/6 pairs: chosen likelier in [\d.]+ %, mean margin [+-][\d.]+\n$/);
    const texts = await kelpie(['score', ...model, '--data', at('texts.jsonl'), '--limit', '3']);
    expect(texts.out).toMatch(/3 rows, mean log-probability -[\d.]+, a token -[\d.]+\n$/);
  });
});
