import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { inProcess } from '../testing/kelpie.js';

const base = fileURLToPath(new URL('../../../../datasets/film-reviews/base', import.meta.url));
const root = mkdtempSync(join(tmpdir(), 'kelpie-cli-family-'));
const at = (...path: string[]) => join(root, ...path);

const kelpie = (...argv: string[]) => inProcess(argv, { columns: 120 });

writeFileSync(
  at('prompts.jsonl'),
  ['Review of the drama', 'Last night at the cinema:', 'The hero is', 'I liked the script']
    .map((prompt) => `${JSON.stringify({ prompt })}\n`)
    .join(''),
);
writeFileSync(
  at('pairs.jsonl'),
  [' was fine.', ' was dull and long.', ' made me laugh.', ' was well cast.']
    .map((chosen, i) => `${JSON.stringify({ prompt: `The film ${i}`, chosen, rejected: ' bored me.' })}\n`)
    .join(''),
);

const numbers = (options: Readonly<Record<string, number>>) =>
  Object.entries(options).flatMap(([name, value]) => [`--${name}`, `${value}`]);
const short = numbers({
  steps: 2,
  'prompts-per-step': 2,
  completions: 4,
  'max-new-tokens': 6,
  'heldout-fraction': 0,
  threads: 1,
});
const given = ['--prompts', at('prompts.jsonl'), '--reward', 'length:target=4', ...short];
const train = (objective: string, out: string, ...more: string[]) =>
  kelpie('train', objective, '--model', base, ...given, '--out', at(out), ...more);
const configOf = (out: string) => JSON.parse(readFileSync(at(out, 'run.json'), 'utf8')).config;
const metricsOf = (out: string) =>
  readFileSync(at(out, 'metrics.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, number>);

describe('objectives on fresh completions', () => {
  it.each(['xpo', 'f-dpg', 'gvpo', 'online-dpo', 'best-of-n', 'online-superhf', 'online-nash-md'])(
    '%s has a command',
    async (objective) => {
      const { code, err } = await train(objective, objective, '--learning-rate', '1e-4');
      expect(code, err).toBe(0);
      expect(metricsOf(objective).filter(({ loss }) => loss !== undefined)).toHaveLength(2);
    },
  );

  it('hold the policy by a divergence over the whole vocabulary, and draw from a part of it', async () => {
    const penalty = ['--penalty', 'exact-jsd', '--penalty-in', 'both', '--penalty-parameter', '0.25', '--top-k', '40'];
    const { code, err } = await train('rloo', 'exact', ...penalty, '--dynamic-sampling', '1');
    expect(code, err).toBe(0);
    const [step] = metricsOf('exact').filter(({ loss }) => loss !== undefined);
    expect(step!['sampler/truncation_kl']).toBeGreaterThan(0);
    expect(step).toHaveProperty('dynamic_sampling/rounds');
    expect(configOf('exact').options).toMatchObject({ penalty: 'exact-jsd', penaltyParameter: 0.25, topK: 40 });
  });
});

describe('a reference by name', () => {
  it('is a model or the mean of several, for rollouts and for rows', async () => {
    const first = await train('grpo', 'first', '--learning-rate', '1e-3');
    expect(first.code, first.err).toBe(0);
    const tuned = at('first', 'model');
    const soup = ['--reference', `${base}=0.25`, `${tuned}=0.75`];
    const online = await train('rloo', 'soup', ...soup, '--penalty', 'kl');
    expect(online.code, online.err).toBe(0);
    const { reference, model } = configOf('soup');
    expect(reference).not.toBe(model);
    expect(metricsOf('soup').some((line) => line['divergence/kl_exact']! > 0)).toBe(true);
    const rows = ['--data', at('pairs.jsonl'), '--max-steps', '1', '--heldout-fraction', '0', '--threads', '1'];
    const offline = await kelpie('train', 'dpo', '--model', base, ...rows, ...soup, '--out', at('dpo'));
    expect(offline.code, offline.err).toBe(0);
    expect(configOf('dpo').reference).toBe(reference);
    expect(metricsOf('dpo').find(({ step }) => step === 1)!.loss).not.toBeCloseTo(Math.LN2, 5);
  });

  it('is refused where it is not there, or its shares are not whole', async () => {
    const refused = async (...reference: string[]) => (await train('rloo', 'refused', '--reference', ...reference)).err;
    expect(await refused(at('nowhere'))).toContain(`--reference: there is no folder \`${at('nowhere')}\``);
    expect(await refused(`${base}=0.5`, `${at('first', 'model')}=0.2`)).toContain('sum to 0.7, expected 1');
  });
});
