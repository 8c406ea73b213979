import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { inProcess } from '../testing/kelpie.js';

const base = fileURLToPath(new URL('../../../../datasets/film-reviews/base', import.meta.url));
const root = mkdtempSync(join(tmpdir(), 'kelpie-cli-report-'));
const at = (...path: string[]) => join(root, ...path);

/** @param interrupt the text at which Ctrl-C is pressed, once. */
function kelpie(argv: readonly string[], interrupt?: RegExp) {
  let pressed = false;
  return inProcess(argv, {
    columns: 120,
    onText(text, press) {
      if (pressed || interrupt?.test(text) !== true) return;
      pressed = true;
      press();
    },
  });
}

function runFolder(
  name: string,
  { seed, penaltyCoef }: { readonly seed: number; readonly penaltyCoef: number },
): string {
  mkdirSync(at(name), { recursive: true });
  const lines = [1, 2, 3].map((step) => ({
    step,
    epoch: 1,
    loss: 1,
    reward: step * seed,
    'divergence/kl_exact': step / penaltyCoef,
  }));
  writeFileSync(at(name, 'metrics.jsonl'), lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
  writeFileSync(
    at(name, 'run.json'),
    JSON.stringify({ config: { objective: 'rloo', options: { seed, penaltyCoef } } }),
  );
  return at(name);
}

const folders = [1, 2].flatMap((seed) =>
  [0.1, 1].map((penaltyCoef) => runFolder(`${seed}-${penaltyCoef}`, { seed, penaltyCoef })),
);

describe('kelpie report', () => {
  it('writes the page of a run beside it, or where it is told to', async () => {
    const { code, out } = await kelpie(['report', folders[0]!]);
    expect(code).toBe(0);
    expect(out).toContain(join(folders[0]!, 'report.html'));
    expect(readFileSync(join(folders[0]!, 'report.html'), 'utf8')).toContain('<h1>rloo · 1-0.1</h1>');
    await kelpie(['report', folders[0]!, '--out', at('pages', 'page.html'), '--svg', at('svg')]);
    expect(existsSync(at('pages', 'page.html'))).toBe(true);
    expect(readdirSync(at('svg'))).toContain('reward-against-divergence.svg');
  });

  it('compares runs', async () => {
    const { code } = await kelpie([
      'report',
      ...folders,
      '--out',
      at('all.html'),
      '--band',
      'min-max',
      '--title',
      'All',
    ]);
    expect(code).toBe(0);
    const html = readFileSync(at('all.html'), 'utf8');
    expect(html).toContain('<h1>All</h1>');
    expect(html).toContain('Frontier over penaltyCoef');
    expect(html).toContain('Bands and bars: lowest to highest run.');
  });

  it('says what is missing', async () => {
    const refused = async (...argv: string[]) => {
      const { code, err } = await kelpie(['report', ...argv]);
      expect(code).toBe(2);
      return err;
    };
    expect(await refused(...folders)).toContain('where to?');
    expect(await refused(at('nowhere'))).toContain('expected `metrics.jsonl`');
    expect(await refused(folders[0]!, '--group-by', 'seed')).toContain('`--group-by` is for several runs');
    expect(await refused(...folders, '--out', at('x.html'), '--metric', 'gold')).toContain('no line has both `gold`');
    expect(existsSync(at('x.html'))).toBe(false);
  });
});

describe('a run', () => {
  writeFileSync(
    at('prompts.jsonl'),
    ['The film', 'A comedy', 'The plot'].map((prompt) => `${JSON.stringify({ prompt })}\n`).join(''),
  );
  const online = [
    'train',
    'rloo',
    '--model',
    base,
    '--prompts',
    at('prompts.jsonl'),
    '--reward',
    'length:target=4',
    '--threads',
    '1',
  ];
  const short = ['--steps', '3', '--prompts-per-step', '1', '--completions', '2', '--max-new-tokens', '4'];

  it('draws its figures at its end', async () => {
    const { code, out } = await kelpie([...online, ...short, '--out', at('whole')]);
    expect(code).toBe(0);
    expect(out).toContain(at('whole', 'report.html'));
    const html = readFileSync(at('whole', 'report.html'), 'utf8');
    expect(html).toContain(`<dt>data</dt><dd>${at('prompts.jsonl')}</dd>`);
    expect(html).toContain('<dt>steps</dt><dd>3</dd>');
  });

  it('draws them where it is stopped, and goes on', async () => {
    const { code } = await kelpie([...online, ...short, '--out', at('stopped')], /step 1\/3/);
    expect(code).toBe(130);
    expect(readFileSync(at('stopped', 'report.html'), 'utf8')).toMatch(
      /<dt>steps<\/dt><dd>[12] of 3, not finished<\/dd>/,
    );
    expect((await kelpie([...online, ...short, '--out', at('stopped'), '--resume'])).code).toBe(0);
    expect(readFileSync(at('stopped', 'report.html'), 'utf8')).toContain('<dt>steps</dt><dd>3</dd>');
  });
});
