import { existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { inProcess } from '../testing/kelpie.js';

const base = fileURLToPath(new URL('../../../../datasets/film-reviews/base', import.meta.url));
const root = mkdtempSync(join(tmpdir(), 'kelpie-cli-online-'));
const at = (...path: string[]) => join(root, ...path);

const kelpie = (...argv: string[]) => inProcess(argv, { columns: 120 });

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
const short = [
  '--heldout-fraction',
  '2',
  '--steps',
  '2',
  '--prompts-per-step',
  '2',
  '--completions',
  '3',
  '--max-new-tokens',
  '6',
];

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
      expect(reward).toBeCloseTo(0.5 * parts.length + parts.mine, 12);
      expect(watched.repetition).toBeTypeOf('number');
    }
    expect(existsSync(at('grpo', 'model', 'model.safetensors'))).toBe(true);
    const { config } = JSON.parse(readFileSync(at('grpo', 'run.json'), 'utf8'));
    expect(config.rewards[0]).toEqual({ name: 'length', weight: 0.5, madeOf: { target: 4 } });
    expect(config.rewards[1].madeOf.hash).toHaveLength(64);
  });

  it('goes on behind a budget, and not behind the last step', async () => {
    const train = (...more: string[]) =>
      kelpie('train', 'grpo', ...given, '--reward', 'length', ...short, '--schedule', 'constant', ...more);
    const ended = await train('--out', at('budget'), '--max-minutes', '0.00001');
    expect(ended.out).toMatch(/after step 1 of 2: .*`--max-minutes` is spent; with a larger one, `--resume` goes on/);
    const { code, err } = await train('--out', at('budget'), '--max-minutes', '100', '--resume');
    expect(code, err).toBe(0);
    expect(JSON.parse(readFileSync(at('budget', 'run.json'), 'utf8'))).toMatchObject({ steps: 2 });
    expect((await train('--out', at('budget'), '--resume')).err).toContain('is finished');
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
    expect(await refused(...given, '--reward', '{"type":"cliped"}', ...out)).toContain('nearest: clipped');
    expect(await refused(...given, '--reward', 'length', '--lora', '2', '--adapter', base, ...out)).toContain(
      'adapter',
    );
    expect(existsSync(at('refused'))).toBe(false);
  });

  it('runs PPO with a critic beside and one apart, under a reward model', async () => {
    const judge = fileURLToPath(new URL('../../../../datasets/film-reviews/reward', import.meta.url));
    const trueScore = fileURLToPath(new URL('../../../../datasets/film-reviews/true-score.ts', import.meta.url));
    const rewards = ['--reward', `reward-model:path=${judge},threads=1`, '--watch', trueScore];
    const beside = await kelpie('train', 'ppo', ...given, ...rewards, ...short, '--out', at('beside'));
    expect(beside.code, beside.err).toBe(0);
    expect(beside.out).toMatch(/reward -?[\d.]+ -> -?[\d.]+ \([+-][\d.]+ reference sd\) at KL [\d.e-]+ nats/);
    expect(beside.out).toContain('held-out true-score');
    const { config } = JSON.parse(readFileSync(at('beside', 'run.json'), 'utf8'));
    expect(config.rewards[0].madeOf.hash).toHaveLength(64);
    const apart = await kelpie('train', 'ppo', ...given, ...rewards, ...short, '--critic', judge, '--out', at('apart'));
    expect(apart.code, apart.err).toBe(0);
    expect(existsSync(at('apart', 'critic', 'model.safetensors'))).toBe(true);
    const metrics = JSON.parse(readFileSync(at('apart', 'metrics.jsonl'), 'utf8').trim().split('\n').at(-2)!);
    expect(metrics).toHaveProperty('explained_variance');
  });

  it('trains an adapter, or one with magnitudes apart', async () => {
    const how = ['--reward', 'length:target=4', ...short, '--lora', '2', '--dora'];
    const { code, err } = await kelpie('train', 'grpo', ...given, ...how, '--out', at('lora'));
    expect(code, err).toBe(0);
    expect(JSON.parse(readFileSync(at('lora', 'model', 'adapter_config.json'), 'utf8'))).toMatchObject({
      r: 2,
      use_dora: true,
    });
  });
});

describe('a config of an online run', () => {
  const yaml = (text: string) => {
    writeFileSync(at('run.yaml'), text);
    return ['train', '--config', at('run.yaml')];
  };
  const head = `
objective: { name: grpo, beta: 0.01 }
model: { path: ${base}, threads: 1 }
online:
  prompts: ${at('prompts.jsonl')}
  rewards:
    - ${at('mine.ts')}
    - { type: clipped, high: 0, weight: 2, of: { type: length, target: 3 } }
  watch: repetition
  steps: 3
`;

  it('says the same as flags, and what is said there wins', async () => {
    const argv = [
      ...yaml(`${head}training: { learningRate: 1e-4 }\noutput: { folder: ${at('config')} }\n`),
      '--dry-run',
    ];
    const { code, out, err } = await kelpie(...argv, '--completions', '2', '--set', 'online.promptsPerStep=2');
    expect(code, err).toBe(0);
    expect(out).toContain('3 steps of 4 completions');
    expect(out).toMatch(/about \d+ MB at the peak/);
    const line = (key: string) => out.split('\n').find((text) => text.trim().startsWith(`${key}:`));
    expect(line('beta')).toMatch(/beta: 0.01 +# .*run.yaml:2:/);
    expect(line('completions')).toMatch(/completions: 2 +# --completions/);
    expect(line('promptsPerStep')).toMatch(/promptsPerStep: 2 +# --set/);
    expect(line('learningRate')).toMatch(/# .*run.yaml:/);
    expect(line('seed')).toMatch(/# default/);
    expect(line('advantage')).toMatch(/group-std +# usual for grpo/);
    expect(out).toMatch(/prompt +\d+ tokens +<bos> ·?Review/);
    expect(existsSync(at('config'))).toBe(false);
  });

  it('shows the KL that is in force, so that the file given again says the same', async () => {
    const penalty = ['--penalty', 'kl', '--penalty-in', 'loss', '--dry-run'];
    const own = `${head.replace(', beta: 0.01', '')}output: { folder: ${at('config')} }\n`;
    const { code, out, err } = await kelpie(...yaml(own), ...penalty);
    expect(code, err).toBe(0);
    expect(out).toMatch(/beta: 0 +# the penalty is held instead/);
    expect(out.match(/klEstimator: k2 +# (the penalty's|usual in the loss)/g)).toHaveLength(2);
    const shown = out.split('\n\n').find((block) => block.includes('\n  klEstimator:'))!;
    const again = await kelpie(...yaml(shown), '--dry-run');
    expect(again.code, again.err).toBe(0);
    expect(again.out).toMatch(/klEstimator: k2 +# .*run.yaml/);
    const twice = await kelpie(...yaml(own), ...penalty, '--beta', '0.3');
    expect(twice.code).toBe(2);
    expect(twice.err).toContain('`beta` 0.3 of `grpo` is a KL in the loss');
  });

  it('is refused with the place and the nearest key', async () => {
    const refusal = async (text: string) => {
      const { code, err } = await kelpie(...yaml(text));
      expect(code).toBe(2);
      return err.replaceAll(root, 'ROOT');
    };
    expect(await refusal('objective: { name: grpo }\nonline: { completion: 3 }\n')).toContain(
      'run.yaml:2:11: `online.completion`: unknown key; nearest: `online.completions`',
    );
    expect(await refusal('objective: { name: grpo }\ntraining: { batchSize: 3 }\n')).toContain(
      '`training.batchSize`: the objective `grpo` does not use it, only `',
    );
    expect(await refusal('objective: { name: dpo }\nonline: { steps: 3 }\n')).toContain(
      '`online.steps`: the objective `dpo` does not use it, only `',
    );
    expect(await refusal('objective: { name: grpo }\nonline: { rewards: { typ: length } }\n')).toContain(
      '`online.rewards`: expected a reward as a flag names it',
    );
    expect(await refusal('objective: { name: grpoo }\n')).toContain('nearest: `grpo`');
  });
});
