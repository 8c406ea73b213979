import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, it } from 'vitest';
import { inProcess as kelpie } from './testing/kelpie.js';

const reviews = fileURLToPath(new URL('../../../datasets/film-reviews', import.meta.url));
const root = mkdtempSync(join(tmpdir(), 'kelpie-labelled-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const at = (name: string) => join(root, name);

type Pair = { readonly prompt: string; readonly chosen: string; readonly rejected: string };
const pairs = readFileSync(join(reviews, 'pairs.jsonl'), 'utf8')
  .split('\n')
  .slice(0, 24)
  .map((line) => JSON.parse(line) as Pair);

function write(name: string, rows: readonly object[]): string {
  writeFileSync(at(name), rows.map((row) => JSON.stringify(row)).join('\n'));
  return at(name);
}

const labelled = pairs.map(({ prompt, chosen, rejected }, i) => ({
  prompt,
  completion: i % 2 === 0 ? chosen : rejected,
  label: i % 2 === 0,
  density_ratio: 1 + i,
}));

function train(objective: string, data: string, out: string, more: readonly string[] = []) {
  const model = ['--model', join(reviews, 'base'), '--threads', '1'];
  const sizes = ['--batch-size', '6', '--sample-prompts', '2', '--sample-tokens', '4'];
  const rate = ['--learning-rate', '1e-3'];
  return kelpie(['train', objective, '--data', data, ...model, '--out', at(out), ...sizes, ...rate, ...more]);
}

function lossesOf(out: string): number[] {
  const lines = readFileSync(join(at(out), 'metrics.jsonl'), 'utf8')
    .trim()
    .split('\n');
  return lines.flatMap((line) => (JSON.parse(line) as { loss?: number }).loss ?? []);
}

it('trains KTO on labelled rows, from data to a saved model', async () => {
  const { code, text } = await train('kto', write('labelled.jsonl', labelled), 'kto', ['--epochs', '2']);
  expect(code, text).toBe(0);
  expect(text).toContain('loss at the reference 0.500000 (0.500000 expected)');
  expect(text).toMatch(/22 mismatched rows scored/);
  expect(lossesOf('kto').at(-1)).toBeLessThan(0.5);
  expect(Object.keys(JSON.parse(readFileSync(join(at('kto'), 'run.json'), 'utf8')).metrics)).toContain('eval_kl');
});

it('trains KTO on pairs: each side is a row', async () => {
  const { code, text } = await train('kto', write('pairs.jsonl', pairs), 'kto-pairs');
  expect(code, text).toBe(0);
  expect(lossesOf('kto-pairs').at(-1)).toBeLessThan(0.5);
});

it('needs no mismatched rows where the objective reads none', async () => {
  const one = labelled.map((row) => ({ ...row, prompt: 'Film:' }));
  const file = write('one-prompt.jsonl', one);
  const held = ['--heldout-fraction', '0'];
  const refused = await train('kto', file, 'refused', held);
  expect(refused.code).not.toBe(0);
  expect(refused.text).toContain('Rows with one prompt alone cannot be mismatched.');
  const { code, text } = await train('apo-zero-unpaired', file, 'apo', held);
  expect(code, text).toBe(0);
});

it('reads density ratios beside the labels, and says which row lacks one', async () => {
  const { code, text } = await train('bco', write('weighed.jsonl', labelled), 'bco', ['--density-ratio']);
  expect(code, text).toBe(0);
  const [first, { density_ratio: _, ...second }, ...rest] = labelled as [
    object,
    { density_ratio: number },
    ...object[],
  ];
  const file = write('unweighed.jsonl', [first, second, ...rest]);
  const refused = await train('bco', file, 'bco-refused', ['--density-ratio']);
  expect(refused.code).not.toBe(0);
  expect(refused.text).toContain('unweighed.jsonl:2 `density_ratio`: expected a positive number, received nothing.');
});

it('takes the prompt into the likelihood of ORPO when told so', async () => {
  const { code, text } = await train('orpo', write('orpo.jsonl', pairs), 'orpo', ['--nll-over', 'sequence']);
  expect(code, text).toBe(0);
});

it('sends rows to the objectives that read them', async () => {
  const { code, text } = await train('dpo', write('for-kto.jsonl', labelled), 'dpo');
  expect(code).not.toBe(0);
  expect(text).toContain('`train kto` and its like read completions with a label');
});
