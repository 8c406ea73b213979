import { dpo } from '@kelpie/objectives';
import { type Policy, pathsOf, type ScoreRequest } from '@kelpie/policy';
import { beforeAll, describe, expect, it } from 'vitest';
import { trainOffline } from './offline.js';
import { referenceScores } from './reference.js';
import type { Rows } from './rows.js';
import { type CheckPart, selfCheck, selfCheckError } from './self-check.js';
import { altered, scratch, tinyGpt2, tinyOptions, tinyPairs, tinyPolicy } from './testing/tiny.js';

const place = scratch();
const objective = dpo;
let policy: Policy;
let rows: Rows;
beforeAll(async () => {
  policy = await tinyPolicy(place('model'));
  const examples = tinyPairs(12);
  rows = { examples, reference: await referenceScores({ policy, examples, scores: ['logprobs'] }) };
});

/** Adds to the first log-prob of a row where the request is of a certain kind. */
const broken = (by: number, when: (request: ScoreRequest) => boolean) =>
  altered(policy, {
    async score(request) {
      const scores = await policy.score(request);
      if (when(request) && scores.logprobs) scores.logprobs[0]! += by;
      return scores;
    },
  });

const failing = ({ parts }: { parts: readonly CheckPart[] }) =>
  parts.filter(({ error, bound }) => !(error <= bound)).map(({ name }) => name);

describe('the self-check', () => {
  it('holds for pairs whose tree is longer than learned positions', async () => {
    const examples = tinyPairs(6);
    const longest = examples.flatMap(({ tree }) => pathsOf(tree)).reduce((n, { ids }) => Math.max(n, ids.length), 0);
    const policy = await tinyGpt2(place('gpt2'), longest);
    const reference = await referenceScores({ policy, examples, scores: ['logprobs'] });
    expect((await selfCheck({ policy, objective, rows: { examples, reference } })).passed).toBe(true);
    await policy.dispose();
  });

  it('passes in one line', async () => {
    const result = await selfCheck({ policy, objective, rows });
    expect(result.passed).toBe(true);
    expect(result.text.replaceAll(/\d\.\de-\d+|0\.0e\+0/g, 'tiny')).toBe(
      'self-check passed on 4 rows: loss at the reference 0.693147 (0.693147 expected), reference tiny, KL tiny, ' +
        'batch mates tiny, padding tiny, tree mates tiny',
    );
    for (const { error } of result.parts) expect(error).toBeLessThan(1e-6);
  });

  it('finds a row that depends on its batch mates', async () => {
    const alone = broken(0.01, ({ trees }) => trees.length === 1);
    expect(failing(await selfCheck({ policy: alone, objective, rows }))).toEqual(['batch mates']);
  });

  it('finds a row that depends on its padding', async () => {
    const padded = broken(0.01, ({ trees }) => trees.length === 2);
    expect(failing(await selfCheck({ policy: padded, objective, rows }))).toEqual(['padding']);
  });

  it('finds a row that depends on who shares its prompt', async () => {
    const split = broken(0.01, ({ trees }) => trees.length > 2 && trees.every(({ branches }) => branches.length === 1));
    expect(failing(await selfCheck({ policy: split, objective, rows }))).toEqual(['tree mates']);
  });

  it('finds reference scores of something else', async () => {
    const logprobs = rows.reference.logprobs!.map((sides) => sides.map((side) => side.map((value) => value * 1.01)));
    const result = await selfCheck({ policy, objective, rows: { ...rows, reference: { logprobs } } });
    expect(failing(result)).toContain('reference');
    const error = selfCheckError(result);
    expect(error).toMatchObject({ code: 'self-check', where: { bound: expect.any(Number), got: expect.any(Number) } });
    expect(error.message).toMatch(/FAILED, at most/);
  });

  it('finds a divergence, and numbers that are none', async () => {
    const far = altered(policy, {
      async score(request) {
        const scores = await policy.score(request);
        scores.reverseKl?.fill(Number.NaN, 2, 3);
        return scores;
      },
    });
    expect(failing(await selfCheck({ policy: far, objective, rows }))).toEqual(['divergence']);
    const none = broken(Number.NaN, ({ trees }) => trees.length === 1);
    expect(failing(await selfCheck({ policy: none, objective, rows }))).toEqual(['batch mates']);
  });

  it('stops a run before its first step', async () => {
    const alone = broken(0.01, ({ trees }) => trees.length === 1);
    const run = { policy: alone, objective, examples: rows.examples, options: tinyOptions, outFolder: place('run') };
    await expect(trainOffline(run)).rejects.toMatchObject({ code: 'self-check', where: { part: 'batch mates' } });
  });
});
