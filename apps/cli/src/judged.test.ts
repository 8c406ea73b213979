import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Engine } from '@kelpie/policy';
import { afterAll, expect, it } from 'vitest';
import { inProcess as kelpie } from './testing/kelpie.js';

const reviews = fileURLToPath(new URL('../../../datasets/film-reviews', import.meta.url));
const root = mkdtempSync(join(tmpdir(), 'kelpie-judged-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const at = (name: string) => join(root, name);

const pairs = readFileSync(join(reviews, 'pairs.jsonl'), 'utf8')
  .split('\n')
  .slice(0, 24)
  .map((line, i) => ({ ...(JSON.parse(line) as object), margin: (i % 3) / 4, tie: i % 6 === 0 }));

function write(name: string, rows: readonly object[]): string {
  writeFileSync(at(name), rows.map((row) => JSON.stringify(row)).join('\n'));
  return at(name);
}

const data = write('pairs.jsonl', pairs);
const train = (out: string, more: readonly string[] = [], rows = data) =>
  kelpie([
    ...['train', 'reward', '--data', rows, '--model', join(reviews, 'base'), '--out', at(out), '--threads', '1'],
    ...['--batch-size', '6', '--learning-rate', '1e-3', '--heldout-fraction', '6', ...more],
  ]);

it('a reward model is trained, measured on pairs held out, and saved as a sequence classifier', async () => {
  const { code, text } = await train('plain', ['--epochs', '2']);
  expect(text).toMatch(/held-out reward accuracy +[\d.]+ % +[\d.]+ %/);
  expect(text).toMatch(/held-out calibration error +0\.\d{3} +0\.\d{3}/);
  expect(code).toBe(0);
  const config = JSON.parse(readFileSync(at('plain/model/config.json'), 'utf8'));
  expect(config.architectures[0]).toMatch(/ForSequenceClassification$/);
  expect(typeof config.pad_token_id).toBe('number');
  const model = await Engine.open({ model: at('plain/model'), threads: 1 });
  const { values } = await model.score({
    trees: [{ trunk: [], branches: [{ ids: [5, 6, 0], scoreFrom: 2 }] }],
    scores: ['values'],
  });
  expect(Number.isFinite(values![0])).toBe(true);
  await model.dispose();
});

it('margins and ties are read from the columns of their names', async () => {
  const { code, text } = await train('columns', [
    '--use-margin',
    '--ties',
    'rao-kupper',
    '--center-coefficient',
    '0.01',
  ]);
  expect(code, text).toBe(0);
  const bare = write(
    'bare.jsonl',
    pairs.map(({ margin: _, ...row }) => row),
  );
  const refused = await train('bare', ['--use-margin'], bare);
  expect(refused.code).not.toBe(0);
  expect(refused.text).toContain('`margin`: expected a number, received nothing');
});

it('an adapter is trained with the head beside it, and goes on from both', async () => {
  const { code, text } = await train('lora', ['--lora', '2']);
  expect(code, text).toBe(0);
  const more = await train('more', ['--adapter', at('lora/model'), '--merge']);
  expect(more.code, more.text).toBe(0);
});
