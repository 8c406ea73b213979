import { existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { run } from '../main.js';

const base = fileURLToPath(new URL('../../../../datasets/film-reviews/base', import.meta.url));
const root = mkdtempSync(join(tmpdir(), 'kelpie-cli-online-'));
const at = (...path: string[]) => join(root, ...path);

async function kelpie(...argv: string[]) {
  const text = { out: '', err: '' };
  const stream = (name: 'out' | 'err') => ({
    isTTY: false,
    columns: 120,
    write(chunk: string) {
      text[name] += chunk;
    },
  });
  const io = {
    stdout: stream('out'),
    stderr: stream('err'),
    env: {},
    onInterrupt: () => () => {},
    exit: (code: number): never => {
      throw new Error(`exit ${code}`);
    },
  };
  return { code: await run(argv, io), ...text };
}

writeFileSync(
  at('prompts.jsonl'),
  ['Review of the drama', 'Last night at the cinema:', 'The hero is', 'I liked the script', 'The pacing', 'a comedy by']
    .map((prompt, i) => `${JSON.stringify({ id: `p${i}`, prompt, likes: i % 2 === 0 })}\n`)
    .join(''),
);
writeFileSync(
  at('mine.ts'),
  'export default ({ ids, meta }: any): number => (meta.likes ? ids.length : -ids.length);\n',
);

const given = ['--model', base, '--prompts', at('prompts.jsonl'), '--threads', '1'];
const short = ['--steps', '2', '--prompts-per-step', '2', '--completions', '3', '--max-new-tokens', '6'];

describe('kelpie train on prompts', () => {
  it('tunes by rewards, watches another, and keeps every completion', async () => {
    const rewards = ['--reward', 'length:target=4,weight=0.5', at('mine.ts'), '--watch', 'repetition'];
    const { code, out, err } = await kelpie('train', 'grpo', ...given, ...rewards, ...short, '--out', at('grpo'));
    expect(err).not.toMatch(/error/i);
    expect(code).toBe(0);
    expect(out).toMatch(/check +on 6 completions passed: ratio/);
    expect(out).toContain('held-out reward');
    const rows = readFileSync(at('grpo', 'rollouts.jsonl'), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(rows).toHaveLength(12);
    for (const { rewards: parts, reward, watched } of rows) {
      expect(reward).toBeCloseTo(0.5 * parts.length + parts[at('mine.ts')], 12);
      expect(watched.repetition).toBeTypeOf('number');
    }
    expect(existsSync(at('grpo', 'model', 'model.safetensors'))).toBe(true);
    const { config } = JSON.parse(readFileSync(at('grpo', 'run.json'), 'utf8'));
    expect(config.rewards[0]).toEqual({ name: 'length', weight: 0.5, madeOf: { target: 4 } });
    expect(config.rewards[1].madeOf.hash).toHaveLength(64);
  });

  it('says what is missing or unknown', async () => {
    const refused = async (...argv: string[]) => {
      const { code, err } = await kelpie('train', 'rloo', ...argv);
      expect(code).toBe(2);
      return err;
    };
    const out = ['--out', at('refused')];
    expect(await refused(...out)).toContain('what to train?');
    expect(await refused('--model', base, ...out)).toContain('which prompts?');
    expect(await refused(...given, ...out)).toContain('what is good?');
    expect(await refused(...given, '--reward', 'lenght', ...out)).toContain('nearest: `length`');
    expect(await refused(...given, '--reward', 'length:aim=3', ...out)).toContain('`aim`');
    expect(await refused(...given, '--reward', 'length', 'length', ...out)).toContain(
      'two rewards are called `length`',
    );
    expect(await refused(...given, '--reward', 'length', '--prompt-field', 'text', ...out)).toContain('`text`');
    const ppo = await kelpie('train', 'ppo', ...given, '--reward', 'length', ...out);
    expect(ppo.err).toContain('there is no value function here');
    expect(existsSync(at('refused'))).toBe(false);
  });
});
