import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { objectives } from '@kelpie/objectives';
import { randomInput, seeded } from '@kelpie/objectives/testing';
import { afterAll, describe, expect, it } from 'vitest';
import { metricNamed, topics } from '../metrics/index.js';
import { inProcess } from '../testing/kelpie.js';

const reviews = fileURLToPath(new URL('../../../../datasets/film-reviews', import.meta.url));
const root = mkdtempSync(join(tmpdir(), 'kelpie-explain-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const at = (name: string) => join(root, name);

const kelpie = (...argv: string[]) => inProcess(argv, { columns: 100 });

const lines = (file: string) => readFileSync(file, 'utf8').trim().split('\n');
const pairs = lines(join(reviews, 'pairs.jsonl'))
  .slice(0, 8)
  .map((line) => JSON.parse(line) as { prompt: string; chosen: string; rejected: string });
const write = (name: string, rows: readonly object[]): string => {
  writeFileSync(at(name), rows.map((row) => JSON.stringify(row)).join('\n'));
  return at(name);
};
const files = {
  pairs: write('pairs.jsonl', pairs),
  labelled: write(
    'labelled.jsonl',
    pairs.flatMap(({ prompt, chosen, rejected }) => [
      { prompt, completion: chosen, label: true },
      { prompt, completion: rejected, label: false },
    ]),
  ),
};

const rows = (data: string) => ['--data', data, '--heldout-fraction', '2', '--batch-size', '4', '--max-steps', '1'];
const drawn = [
  ...['--prompts', files.pairs, '--heldout-fraction', '2', '--steps', '1', '--prompts-per-step', '2'],
  ...['--completions', '2', '--max-new-tokens', '5', '--reward', 'length:target=3', '--watch', 'ended'],
];
const penalty = ['--penalty', 'kl', '--controller', 'adaptive'];

describe('every metric is explained', () => {
  it.each([
    ['dpo', rows(files.pairs)],
    ['kto', rows(files.labelled)],
    ['reward', rows(files.pairs)],
    ['grpo', [...drawn, '--beta', '0.01', ...penalty]],
    ['ppo', drawn],
    ['ppo', [...drawn, '--critic', join(reviews, 'reward')]],
  ])('that train %s logs', async (objective, given) => {
    const out = mkdtempSync(at('run-'));
    const model = ['--model', join(reviews, 'base'), '--threads', '1', '--out', join(out, 'out')];
    const { code, err } = await kelpie('train', objective, ...model, ...given);
    expect(code, err).toBe(0);
    const logged = ['metrics.jsonl', 'timing.jsonl'].flatMap((file) => lines(join(out, 'out', file)));
    const keys = new Set(logged.flatMap((line) => Object.keys(JSON.parse(line) as object)));
    expect(keys.size).toBeGreaterThan(10);
    expect([...keys].filter((key) => metricNamed(key) === undefined)).toEqual([]);
  });

  it.each(Object.values(objectives).map((objective) => [objective.name, objective] as const))(
    'that %s gives',
    (_, objective) => {
      const options = objective.resolveOptions({});
      const input = randomInput(objective, objective.needsOf(options), seeded(1));
      const keys = Object.keys(objective.evaluate(input, options).metrics);
      expect(keys.filter((key) => metricNamed(key) === undefined)).toEqual([]);
    },
  );

  it('once, in whole', () => {
    const all = Object.values(topics).flat();
    expect(new Set(all.map(({ name }) => name)).size).toBe(all.length);
    for (const texts of all) for (const text of Object.values(texts)) expect(text).not.toBe('');
  });
});

describe('kelpie explain', () => {
  it('tells of one, also of held-out rows and of parts', async () => {
    const { out } = await kelpie('explain', 'explained_variance');
    expect(out).toMatch(/^explained_variance\n1 - Var\(return - value\)/);
    expect(out).toMatch(/unit +no unit, at most 1\ngoes well +rises from 0/);
    expect((await kelpie('explain', 'eval_rewards/margins')).out).toContain('On held-out rows or prompts.');
    expect((await kelpie('explain', 'watched/true-score/mean')).out).toContain('over-optimisation');
  });

  it('lists all, and the nearest to one that there is not', async () => {
    const { out } = await kelpie('explain');
    for (const name of ['grad_norm', 'divergence/kl_exact', 'sampling_seconds']) expect(out).toContain(name);
    expect(await kelpie('explain', 'kl_exact')).toMatchObject({
      code: 2,
      err: 'error: no run logs `kl_exact`; nearest: `divergence/kl_exact` (`kelpie explain` lists all)\n',
    });
    expect((await kelpie('explain', 'reward_sdt')).err).toContain('nearest: `reward_std`');
  });
});
