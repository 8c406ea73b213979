import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { RewardRow } from '@kelpie/rewards';
import { afterAll, expect, it } from 'vitest';
import type { Point, RunRecord } from './reward-hacking/run.js';
import { readSettings } from './reward-hacking/settings.js';
import { courseOf, groupsOf } from './reward-hacking/summary.js';
import { placesOf } from './reward-hacking/sweep.js';
import { wordPairError } from './reward-hacking/word-pairs.js';

const main = fileURLToPath(new URL('../dist/studies/main.js', import.meta.url));
const out = mkdtempSync(join(tmpdir(), 'kelpie-study-'));
afterAll(() => rmSync(out, { recursive: true, force: true }));

const study = (...args: readonly string[]): string =>
  execFileSync(process.execPath, [main, 'reward-hacking', ...args, '--out', out], { encoding: 'utf8' });

it('runs, keeps each run, repeats none, and draws one page', () => {
  const args = ['--quick', '--arms', 'labels,texts-heavy'];
  expect(study(...args)).toContain('4/4');
  const results = join(out, 'results');
  const files = readdirSync(results).sort();
  expect(files).toEqual([
    'labels-kl-0.1-seed-0.json',
    'labels-none-seed-0.json',
    'labels-occupancy-chi2-0.001-seed-0.json',
    'texts-heavy-none-seed-0.json',
  ]);
  const made = files.map((file) => statSync(join(results, file)).mtimeMs);
  rmSync(join(results, files[3]!));
  const again = study(...args);
  expect(again).toContain('4 runs, 3 of them there already');
  expect(files.slice(0, 3).map((file) => statSync(join(results, file)).mtimeMs)).toEqual(made.slice(0, 3));
  const page = readFileSync(join(out, 'reward-hacking.html'), 'utf8');
  expect(page).toContain('Unregularised: reward model from few labels');
  expect(page).not.toMatch(/(?:src|href)="http/);
  expect(() => study(...args, '--steps', '3')).toThrow(/made with other settings \(steps 2, now 3\)/);
}, 600_000);

const row = (completion: string): RewardRow => ({ prompt: '', completion, ids: [], ended: true, meta: {} });

it('plants an error that texts with the same word pairs share', async () => {
  const error = wordPairError({ seed: 1, degreesOfFreedom: 2 });
  const { rewards } = await error.judge([row(' a b'), row(' a b a b'), row(' b a'), row('')]);
  const [ab, abab, ba, none] = [...rewards];
  const start = (text: string) => wordPairError({ seed: 1, degreesOfFreedom: 2 }).judge([row(text)]);
  const [a, b] = [(await start('a')).rewards[0]!, (await start('b')).rewards[0]!];
  // (a)(a b) and (b)(b a), each over √2; (a)(a b)(b a)(a b) over 2.
  const [afterA, afterB] = [ab! * Math.SQRT2 - a, ba! * Math.SQRT2 - b];
  expect(abab).toBeCloseTo((a + 2 * afterA + afterB) / 2, 12);
  expect(none).toBe(0);
});

it('goes by stages: what is swept, without a penalty; reward models with each, planted proxies with each; the others', () => {
  const places = placesOf(readSettings(['--seeds', '0,1', '--kl', '0.1', '--chi2', '0.01']));
  const stages = places.map(({ arm, penalty }) => `${arm.split('-')[0]} ${penalty === 'none' ? 'free' : 'held'}`);
  expect(stages.slice(0, 6).every((stage) => /^(?:labels|pairs) free$/.test(stage))).toBe(true);
  expect(stages.slice(6, 10).every((stage) => stage === 'labels held')).toBe(true);
  expect(stages.slice(10, 18).every((stage) => stage === 'pairs held')).toBe(true);
  expect(stages.slice(18).every((stage) => /^(?:labels|texts) free$/.test(stage))).toBe(true);
  expect(places).toHaveLength(24);
  expect(places.slice(0, 6).map(({ seed }) => seed)).toEqual([0, 0, 0, 1, 1, 1]);
});

it('refuses settings that cannot be', () => {
  expect(() => readSettings(['--steps', '0'])).toThrow('--steps: expected a whole number from 1, got 0');
  expect(() => readSettings(['--arms', 'label'])).toThrow('--arms: expected some of labels,');
  expect(() => readSettings(['--kl=-1'])).toThrow('--kl: expected a number above 0, got -1');
});

it('takes means and standard errors over seeds, changes seed by seed', () => {
  const point = (step: number, gold: number): Point => {
    return { step, gold, proxy: 0, kl: 0, forwardKl: 0, logChi2: 0, length: 0, entropy: 0 };
  };
  const run = (seed: number, golds: readonly number[]) =>
    ({
      ...{ arm: 'labels', penalty: 'none', coefficient: 0, seed },
      steps: golds.map((gold, at) => point(at + 1, gold)),
      evaluations: [point(0, golds[0]!), point(golds.length, golds.at(-1)!)],
    }) as unknown as RunRecord;
  const [group] = groupsOf([run(0, [0, 2, 3]), run(1, [1, 3, 8])]);
  expect(group!.after.gold).toEqual({ mean: 5.5, error: 2.5, count: 2 });
  expect(group!.change.gold).toEqual({ mean: 5, error: 2, count: 2 });
  expect(courseOf(group!, 2).map(({ step, gold }) => [step, gold.mean])).toEqual([
    [2, 1.5],
    [3, 5.5],
  ]);
});
