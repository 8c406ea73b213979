import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism, hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { objectives } from '@kelpie/objectives';
import { openTokenizer } from '@kelpie/policy';
import { beforeAll, describe, expect, it } from 'vitest';
import { run } from './main.js';
import { offlineObjectives } from './offline-objectives.js';
import type { Io } from './print.js';

const reviews = fileURLToPath(new URL('../../../datasets/film-reviews', import.meta.url));
const root = mkdtempSync(join(tmpdir(), 'kelpie-cli-'));
const at = (...path: string[]) => join(root, ...path);

interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

interface Watching {
  /** Sees every text on either stream; may press Ctrl-C. */
  readonly onText?: (text: string, interrupt: () => void) => void;
  readonly env?: Io['env'];
  readonly tty?: boolean;
}

/** The command in this process, with what a user would see. The temporary folder is shown as `ROOT`. */
async function kelpie(argv: readonly string[], { onText, env = {}, tty = false }: Watching = {}): Promise<Outcome> {
  const text = { out: '', err: '' };
  const handlers = new Set<() => void>();
  const stream = (name: 'out' | 'err') => ({
    isTTY: tty,
    columns: 100,
    write(chunk: string) {
      text[name] += chunk;
      onText?.(chunk, () => {
        for (const handler of handlers) handler();
      });
    },
  });
  const io: Io = {
    stdout: stream('out'),
    stderr: stream('err'),
    env,
    onInterrupt(handler) {
      handlers.add(handler);
      return () => handlers.delete(handler);
    },
    exit: (code) => {
      throw new Error(`exit ${code}`);
    },
  };
  const code = await run(argv, io);
  const readable = (raw: string) => raw.replaceAll(root, 'ROOT').replaceAll(reviews, 'REVIEWS');
  return { code, out: readable(text.out), err: readable(text.err) };
}

const lines = (file: string, count: number) => readFileSync(join(reviews, file), 'utf8').split('\n').slice(0, count);
const small = ['--threads', '1', '--sample-tokens', '8', '--batch-size', '4', '--learning-rate', '1e-2'];
const sftArgv = (out: string) => [
  'train',
  'sft',
  '--init',
  at('config.json'),
  '--tokenizer',
  join(reviews, 'base'),
  '--data',
  at('texts.jsonl'),
  '--out',
  out,
  ...small,
];
const dpoArgv = (out: string) => [
  'train',
  'dpo',
  '--model',
  at('base', 'model'),
  '--data',
  at('pairs.jsonl'),
  '--heldout',
  at('heldout.jsonl'),
  '--out',
  out,
  ...small,
];
const weights = (out: string) => readFileSync(join(out, 'model', 'model.safetensors'));

// biome-ignore lint/suspicious/noExplicitAny: whatever the command prints
const rowsIn = (text: string): any[] =>
  text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));

beforeAll(async () => {
  const config = JSON.parse(readFileSync(join(reviews, 'base', 'config.json'), 'utf8')) as Record<string, unknown>;
  const tiny = {
    hidden_size: 16,
    intermediate_size: 24,
    num_hidden_layers: 1,
    num_attention_heads: 2,
    num_key_value_heads: 1,
    head_dim: 8,
  };
  writeFileSync(at('config.json'), JSON.stringify({ ...config, ...tiny }));
  writeFileSync(at('texts.jsonl'), lines('texts.jsonl', 24).join('\n'));
  writeFileSync(at('pairs.jsonl'), lines('pairs.jsonl', 16).join('\n'));
  writeFileSync(at('heldout.jsonl'), lines('heldout.jsonl', 6).join('\n'));
  const { code, err } = await kelpie([...sftArgv(at('base')), '--max-steps', '3']);
  expect(code, err).toBe(0);
});

describe('train', () => {
  it('tells of data, check, steps, verdict and how to try the model', async () => {
    const { code, out, err } = await kelpie([...dpoArgv(at('told')), '--max-steps', '3', '--beta', '0.5']);
    expect(err).toMatch(/step 1\/3 {2}loss 0\.693 {2}margin .* {2}accuracy .* {2}[\d,]+ tokens\/s {2}\d+s left/);
    expect(code).toBe(0);
    expect(out).toMatch(/^kelpie train dpo {2}Direct preference optimisation\nmodel +ROOT\/base\/model\n +llama, /);
    expect(out).toContain('16 of 16 rows used');
    expect(out).toContain('6 of 6 rows used');
    expect(out).toMatch(/check +passed on 4 rows: loss at the reference 0\.693147 \(0\.693147 expected\)/);
    expect(out).toMatch(/held out {3}at step 3: {2}loss [\d.]+ {2}margin \S+ {2}accuracy \S+ % {2}KL [\d.]+/);
    expect(out).toMatch(/divergence KL\(policy ‖ start\), nats a completion +[\d.]+\n/);
    expect(out.match(/^ {2}before /gm)).toHaveLength(3);
    expect(out).toMatch(/try it\n {2}kelpie generate --model ROOT\/told\/model --prompt 'Last night/);
  });

  it('goes on from a checkpoint to the very weights of a run that was never stopped', async () => {
    const argv = (out: string) => [...dpoArgv(out), '--max-steps', '5'];
    expect((await kelpie(argv(at('whole')))).code).toBe(0);
    const stopped = await kelpie(argv(at('stopped')), {
      onText: (text, interrupt) => text.startsWith('step 2/5') && interrupt(),
    });
    expect(stopped.code).toBe(130);
    expect(stopped.err).toContain('finishing this step and writing a checkpoint');
    const again = /stopped after step 2 of 5; to go on:\n {2}kelpie (train dpo .* --resume)/.exec(stopped.out)?.[1];
    expect(again).toBeDefined();
    expect((await kelpie(argv(at('stopped')))).err).toContain('or go on with `--resume`');
    const resumed = await kelpie([...argv(at('stopped')), '--resume']);
    expect(resumed.out).toMatch(/resume +from the checkpoint of step 2/);
    expect(resumed.code, resumed.err).toBe(0);
    expect(weights(at('stopped')).equals(weights(at('whole')))).toBe(true);
    expect(await kelpie([...argv(at('stopped')), '--resume'])).toMatchObject({
      code: 2,
      err: 'error: the run in `ROOT/stopped` is finished: its model is in `ROOT/stopped/model`\n',
    });
  });

  it('reads pairs as text by their chosen side', async () => {
    const argv = sftArgv(at('chosen')).map((argument) =>
      argument === at('texts.jsonl') ? at('pairs.jsonl') : argument,
    );
    const { code, out } = await kelpie([...argv, '--max-steps', '1']);
    expect(code).toBe(0);
    expect(out).toContain('pairs.jsonl: 16 rows, pairs');
  });

  it('trains an adapter that generate opens', async () => {
    const { code, out, err } = await kelpie([...dpoArgv(at('lora')), '--max-steps', '2', '--lora', '4']);
    expect(code, err).toBe(0);
    expect(out).toMatch(/try it\n {2}kelpie generate --model ROOT\/base\/model --adapter ROOT\/lora\/model --prompt/);
    expect(existsSync(at('lora', 'model', 'adapter_model.safetensors'))).toBe(true);
    const given = await kelpie([
      'generate',
      '--model',
      at('base', 'model'),
      '--adapter',
      at('lora', 'model'),
      '-p',
      'Review',
      '--max-new-tokens',
      '4',
    ]);
    expect(given.code, given.err).toBe(0);
  });

  it('lists every bad row before anything is trained', async () => {
    writeFileSync(
      at('bad.jsonl'),
      [...lines('pairs.jsonl', 3), '{"prompt": "a", "chosen": "b"}', '{"prompt": '].join('\n'),
    );
    const argv = [
      'train',
      'dpo',
      '--model',
      at('base', 'model'),
      '--data',
      at('bad.jsonl'),
      '--out',
      at('none'),
      ...small,
    ];
    const { code, err } = await kelpie(argv);
    expect(code).toBe(2);
    expect(err).toMatchInlineSnapshot(`
      "warning: the learning rate 0.01 is outside what is usual for a model of this size, 1e-8 to 0.001: the model may fall apart
      error: 2 of 5 rows cannot be used:
        ROOT/bad.jsonl:4 \`rejected\`: expected text, received nothing
        ROOT/bad.jsonl:5:12: expected a JSON value, received the end of the line
      Mend these rows, or leave them out with \`--on-bad-row drop\`, which counts them by reason.
      "
    `);
    expect(existsSync(at('none'))).toBe(false);
    const dropped = await kelpie([...argv, '--on-bad-row', 'drop', '--max-steps', '1', '--heldout-fraction', '0']);
    expect(dropped.out).toContain('3 of 5 rows used; dropped: 1 missing-field, 1 not-json');
    expect(dropped.code, dropped.err).toBe(0);
  });

  it('overwrites nothing', async () => {
    writeFileSync(at('base', 'note.txt'), '');
    expect(await kelpie(sftArgv(at('base')))).toMatchObject({
      code: 2,
      err: 'error: --out: `ROOT/base` is not empty, and nothing is overwritten: name another folder\n',
    });
  });

  it('goes on only in a folder that a run has begun in', async () => {
    mkdirSync(at('mine', 'model'), { recursive: true });
    writeFileSync(at('mine', 'model', 'weights.txt'), 'w');
    expect(await kelpie([...dpoArgv(at('mine')), '--resume'])).toMatchObject({
      code: 2,
      err: "error: there is no run to go on with, only what is none of a run's own: `model`; nothing is overwritten: name another folder (folder `ROOT/mine`)\n",
    });
    expect(readFileSync(at('mine', 'model', 'weights.txt'), 'utf8')).toBe('w');
    const model = await kelpie([...dpoArgv(at('base', 'model')), '--resume']);
    expect(model).toMatchObject({ code: 2, err: expect.stringContaining('none of a run') });
    const absent = await kelpie([...dpoArgv(at('begun')), '--resume', '--max-steps', '1']);
    expect(absent).toMatchObject({ code: 0, err: expect.stringContaining('no checkpoint in ROOT/begun: beginning\n') });
  });

  it('leaves a folder alone that another process trains in', async () => {
    mkdirSync(at('busy'));
    writeFileSync(at('busy', 'run.lock'), JSON.stringify({ pid: process.pid, host: hostname() }));
    for (const flags of [[], ['--resume'], ['--dry-run']]) {
      expect(await kelpie([...dpoArgv(at('busy')), ...flags])).toMatchObject({
        code: 2,
        err: `error: process ${process.pid} is running in this folder: wait for it, or choose another folder (folder \`ROOT/busy\`, pid ${process.pid})\n`,
      });
    }
  });

  it('takes a config without weights for a slip of the flag', async () => {
    mkdirSync(at('unweighted'));
    copyFileSync(join(reviews, 'base', 'config.json'), at('unweighted', 'config.json'));
    const argv = ['train', 'sft', '--model', at('unweighted'), '--data', at('texts.jsonl'), '--out', at('none2')];
    expect(await kelpie(argv)).toMatchObject({
      code: 2,
      err: 'error: --model: `ROOT/unweighted` has a config and no weights; to start from random ones: `--init ROOT/unweighted/config.json`\n',
    });
  });

  it('moves a bar on a terminal, and leaves no trace of it', async () => {
    const { err } = await kelpie([...sftArgv(at('bar')), '--max-steps', '2'], { tty: true, env: { NO_COLOR: '1' } });
    expect(err).toMatch(/━+─+ {2}step 1\/2 {2}loss/);
    expect(err.endsWith('\r\u001b[2K')).toBe(true);
    expect(err.split('\r\u001b[2K').every((line) => line.length < 100)).toBe(true);
  });
});

describe('train with a config', () => {
  const config = (name: string, text: string) => {
    writeFileSync(at(name), text);
    return at(name);
  };
  const run = () =>
    config(
      'run.yaml',
      `objective: { name: dpo, beta: 0.5 }
model: { path: ${at('base', 'model')}, threads: 1 }
data: { files: ${at('pairs.jsonl')}, heldout: ${at('heldout.jsonl')} }
training: { batchSize: 4, learningRate: 1e-4, sampleTokens: 8 }
output: { folder: ${at('configured')} }
`,
    );

  it('shows what would be done, and writes nothing', async () => {
    const { code, out, err } = await kelpie(['train', '--config', run(), '--max-steps', '2', '--dry-run']);
    expect(code, err).toBe(0);
    expect(err).toBe('');
    expect(existsSync(at('configured'))).toBe(false);
    expect(out).toMatch(/^run +2 steps, 4 a pass over 16 rows; 6 held out\nmemory +about \d+ MB at the peak: process/m);
    // The column of comments depends on the length of paths.
    const shown = out.slice(out.indexOf('\nobjective:')).replaceAll(/ +# /g, '  # ');
    expect(shown).toMatchInlineSnapshot(`
      "
      objective:
        name: dpo  # ROOT/run.yaml:1:14
        beta: 0.5  # ROOT/run.yaml:1:25
        labelSmoothing: 0  # default
        nllWeight: 0  # default
        nllReduction: tokens  # default
      model:
        path: ROOT/base/model  # ROOT/run.yaml:2:10
        tokenizer: ROOT/base/model  # the model's folder
        threads: 1  # ROOT/run.yaml:2:51
      data:
        files: ROOT/pairs.jsonl  # ROOT/run.yaml:3:9
        heldout: ROOT/heldout.jsonl  # ROOT/run.yaml:3:52
        format: pairs  # found by the columns
        onBadRow: error  # default
        truncation: prompt-start  # for pairs; not asked for: a prompt without room is a bad row
        maxLength: 128  # the model's context
        scoreFrom: shared  # default
      training:
        learningRate: 0.0001  # ROOT/run.yaml:4:27
        schedule: linear  # default
        warmupSteps: 0  # default
        batchSize: 4  # ROOT/run.yaml:4:13
        microBatchTokens: 4096  # the model's size, the longest row
        epochs: 1  # default
        maxSteps: 2  # --max-steps
        shuffle: true  # default
        weightDecay: 0  # default
        decay: matrices  # default
        beta1: 0.9  # default
        beta2: 0.999  # default
        eps: 1e-8  # default
        maxGradNorm: 1  # default
        syncReferenceEvery: 0  # default
        referenceMixture: 0.6  # default
        temperature: 1  # default
        entropy: true  # default
        evaluateEvery: 0  # default
        saveEvery: 0  # default
        keepCheckpoints: 2  # default
        samplePrompts: 16  # default
        sampleTokens: 8  # ROOT/run.yaml:4:47
        seed: 0  # default
        selfCheck: true  # default
      output:
        folder: ROOT/configured  # ROOT/run.yaml:5:11
        merge: false  # default

      row ROOT/pairs.jsonl:1
        not scored           18 tokens  <bos> Last ·night ·at ·the ·cinema : ·"
                                        Midnight ·Forest " , ·a ·comedy ·by ·Nadia
                                        ·Rossi :
        chosen, scored       35 tokens  ·The ·hero ·is ·irresistible . ·Also , ·the
                                        ·lighting ·is ·very ·good ·and ·superb . ·I
                                        ·adored ·the ·soundtrack , ·and ·I ·liked ·the
                                        ·script . ·The ·pacing ·is ·superb ·and
                                        ·really ·brisk . <eos>
        rejected, scored     33 tokens  ·It ·is ·the ·third ·comedy ·by ·Rossi . ·I
                                        ·loved ·the ·photography . ·Moreover , ·the
                                        ·pacing ·is ·superb . ·However , ·there ·is
                                        ·no ·doubt ·that ·the ·script ·is ·awful .
                                        <eos>

      row ROOT/pairs.jsonl:2
        not scored           13 tokens  <bos> Review ·of ·the ·drama ·" Broken
                                        ·Orchard " ·by ·Hugo ·Costa :
        chosen, scored       26 tokens  ·To ·be ·fair , ·the ·script ·is ·not ·poor .
                                        ·In ·my ·opinion , ·the ·rhythm ·impresses .
                                        ·I ·would ·recommend ·it ·to ·anyone . <eos>
        rejected, scored     31 tokens  ·The ·characters ·are ·dreadful ·and ·simply
                                        ·hopeless . ·It ·tells ·of ·an ·old ·teacher
                                        ·who ·leaves ·a ·house ·in ·the ·woods . ·I
                                        ·would ·not ·recommend ·it ·to ·you . <eos>

      dry run: nothing was trained, nothing written
      "
    `);
  });

  it('shows what the rows and the objective decide on', async () => {
    const argv = (...data: string[]) => [
      ...sftArgv(at('none3')).filter((word) => !['--data', at('texts.jsonl')].includes(word)),
      '--data',
      ...data,
      '--dry-run',
    ];
    const shown = (out: string) =>
      out
        .match(/^ {2}#? ?(format|truncation|score): .*$/gm)
        ?.map((line) => line.replace(/ +# (?=\S+ \S|--)(?!format|score)/, ' # '));
    expect(shown((await kelpie(argv(at('texts.jsonl')))).out)).toEqual([
      '  format: text # found by the columns',
      '  truncation: end # for text; not asked for: a prompt without room is a bad row',
      '  score: all # whether rows have a prompt',
    ]);
    writeFileSync(at('answers.jsonl'), JSON.stringify({ prompt: 'a', completion: ' b' }));
    const both = await kelpie([
      ...argv(at('texts.jsonl'), at('answers.jsonl')),
      '--truncation',
      'drop',
      '--max-steps',
      '1',
    ]);
    expect(shown(both.out)).toEqual([
      '  # format: text, prompt-completion # found by the columns',
      '  truncation: drop # --truncation',
      '  # score: all, completion # whether rows have a prompt',
    ]);
    expect(both.out).toMatch(/^run +1 step, 6 a pass over 2\d rows; \d held out$/m);
  });

  it('says where a resumed run would go on, if it can', async () => {
    const argv = [...dpoArgv(at('half')), '--max-steps', '3', '--save-every', '1'];
    const stop = { onText: (text: string, interrupt: () => void) => text.startsWith('step 1/3') && interrupt() };
    expect((await kelpie(argv, stop)).code).toBe(130);
    const again = await kelpie([...argv, '--resume', '--dry-run']);
    expect(again.out).toMatch(/^resume +from the checkpoint of step 1$/m);
    expect(await kelpie([...argv, '--resume', '--dry-run', '--beta', '0.3'])).toMatchObject({
      code: 2,
      err: expect.stringContaining('`objectiveOptions.beta`: 0.1 in the checkpoint, 0.3 now'),
    });
    const absent = await kelpie([...dpoArgv(at('none4')), '--resume', '--dry-run', '--warmup-steps', '9']);
    expect(absent.err).toContain('warning: the warm-up takes 9 steps and the run has 4: ');
    expect(absent.err).toContain('warning: no checkpoint in ROOT/none4: beginning\n');
  });

  it('trains as the same flags do', async () => {
    expect(await kelpie(['train', '--config', run(), '--max-steps', '2'])).toMatchObject({ code: 0 });
    const flags = ['--learning-rate', '1e-4', '--beta', '0.5', '--max-steps', '2'];
    expect(await kelpie([...dpoArgv(at('flagged')), ...flags])).toMatchObject({ code: 0 });
    expect(weights(at('configured')).equals(weights(at('flagged')))).toBe(true);
  });

  it('lists what is wrong with place and nearest key', async () => {
    const text = `extends: run.yaml\nobjective:\n  bta: 1\ntraining:\n  beta: 2\n`;
    const { code, err } = await kelpie(['train', 'dpo', '-c', config('typo.yaml', text), '--set', 'model.pth=a']);
    expect(code).toBe(2);
    expect(err).toMatchInlineSnapshot(`
      "error: ROOT/typo.yaml:3:3: \`objective.bta\`: unknown key; nearest: \`objective.beta\`, \`objective.nllWeight\`
      ROOT/typo.yaml:5:3: \`training.beta\`: unknown key; nearest: \`objective.beta\`
      --set model.pth=a: \`model.pth\`: unknown key; nearest: \`model.path\`, \`model.init\`
      "
    `);
  });

  it('warns of unusual values', async () => {
    const argv = [
      'train',
      '--config',
      run(),
      '--dry-run',
      '--out',
      at('unusual'),
      '--beta',
      '20',
      '--learning-rate',
      '0.1',
    ];
    expect((await kelpie(argv)).err).toMatchInlineSnapshot(`
      "warning: the learning rate 0.1 is outside what is usual for a model of this size, 1e-8 to 0.001: the model may fall apart
      warning: beta 20 is outside what is usual for dpo, 0.01 to 1: the policy may hardly leave the reference
      "
    `);
  });

  it('warns of more threads than cores', async () => {
    const cores = availableParallelism();
    const argv = ['train', '--config', run(), '--dry-run', '--out', at('threads'), '--threads'];
    expect((await kelpie([...argv, String(cores + 1)])).err).toMatch(
      new RegExp(`^warning: ${cores + 1} threads on .* are slower than ${cores}\n`),
    );
    expect((await kelpie([...argv, String(cores)])).err).toBe('');
  });

  it('takes one flag over the other of a file', async () => {
    const argv = ['train', '--config', run(), '--dry-run', '--out', at('either')];
    const { code, err } = await kelpie([...argv, '--heldout-fraction', '0.25']);
    expect(code, err).toBe(0);
    const both = ['--heldout', at('heldout.jsonl'), '--heldout-fraction', '0.25'];
    expect((await kelpie([...argv, ...both])).err).toMatchInlineSnapshot(`
      "error: --heldout-fraction: not together with --heldout: give one of the two
      "
    `);
  });
});

describe('data check', () => {
  it('says what is wrong, what it does and what to do, with exit code 1 where training would stop', async () => {
    writeFileSync(
      at('ill.jsonl'),
      [...lines('pairs.jsonl', 3), ...lines('pairs.jsonl', 1), '{"prompt": "a"}'].join('\n'),
    );
    const { code, out } = await kelpie(['data', 'check', at('ill.jsonl'), '--model', at('base', 'model')]);
    expect(code).toBe(1);
    expect(out).toMatchInlineSnapshot(`
      "data       ROOT/ill.jsonl: 5 rows, pairs
                 4 of 5 rows can be trained on, as pairs
                 368 tokens, 34.8 % of them prompts; with shared prompts computed once
                   304
                 the longer side wins in 75.0 % of the pairs, the shorter in 25.0 %

      tokens                    least  median  90 %  99 %  most
      prompt                       13      15    18    18    18
      chosen                       26      34    35    35    35
      rejected                     13      31    33    33    33
      longest side with prompt     44      49    53    53    53

      error: 1 of 5 (20.0 %) rows cannot be read as rows of this format: 2
        missing-field
        where  ROOT/ill.jsonl:5
        does   Training stops before it begins, unless bad rows are to be dropped.
        do     Mend them, or leave them out with \`--on-bad-row drop\`.

      warning: 1 of 5 (20.0 %) rows are copies of earlier rows
        where  ROOT/ill.jsonl:4
        does   They weigh as often as they stand there, and are memorised first.
        do     Keep one of each.
      "
    `);
  });

  it('finds an error in a file without rows', async () => {
    writeFileSync(at('empty.jsonl'), '');
    const { code, out } = await kelpie(['data', 'check', at('empty.jsonl')]);
    expect(code).toBe(1);
    expect(out).toContain('error: 0 of 0 (0.0 %) rows can be trained on');
    expect(out).not.toContain('nothing found');
  });

  it('ends with exit code 0 at warnings, here of held-out rows that are trained on', async () => {
    const argv = ['data', 'check', at('pairs.jsonl'), '--heldout', at('pairs.jsonl')];
    const { code, out } = await kelpie(argv);
    expect(code).toBe(0);
    expect(out).toContain('warning: 16 of 16 (100.0 %) held-out rows also stand in the data');
  });

  it('gives JSON', async () => {
    const { out } = await kelpie(['data', 'check', at('texts.jsonl'), '--json']);
    expect(JSON.parse(out)).toMatchObject({ kind: 'text', rows: 24, unit: 'characters', findings: [] });
  });

  it.each([
    [['data', 'check', at('nowhere.jsonl')], /^error: Cannot read ROOT\/nowhere.jsonl/],
    [['data', 'check', at('texts.jsonl'), '--max-length', '8'], /^error: lengths are counted in tokens/],
    [['data', 'check', at('texts.jsonl'), '--model', at('nowhere')], /^error: --model: there is no folder/],
    [['data', 'check'], /^error: missing required argument `file`/],
  ])('refuses %j', async (argv, message) => {
    const { code, err } = await kelpie(argv);
    expect(code).toBe(2);
    expect(err).toMatch(message);
  });
});

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

describe('objectives', () => {
  it('lists every one, also as JSON', async () => {
    const { out } = await kelpie(['objectives']);
    for (const name of Object.keys(objectives)) expect(out).toMatch(new RegExp(`^${name} `, 'm'));
    const listed = JSON.parse((await kelpie(['objectives', '--json'])).out) as { name: string }[];
    expect(listed.map(({ name }) => name)).toEqual(Object.keys(objectives));
  });

  it('shows one in full', async () => {
    expect((await kelpie(['objectives', 'sft'])).out).toMatchInlineSnapshot(`
      "sft  Supervised fine-tuning
      Raises the likelihood of the completions.

      paper             Ouyang et al. 2022, arXiv:2203.02155
      rows              text
      policy scores     logprobs
      reference scores  none
      micro-batches     a step may be split

      option       default  allowed
      --reduction  tokens   tokens | rows | sums  Mean over all completion tokens of
                                                  the step, mean of row means, or mean
                                                  of row sums.
      "
    `);
  });
});

describe('the command line', () => {
  it.each([
    [
      ['train', '--dry-run'],
      'error: which objective? name one behind `train`: say `kelpie train dpo ...`, or write `objective:` with `name: dpo` below it in a config (`kelpie objectives` lists them)\n',
    ],
    [['data', '--bta'], 'error: unknown option `--bta` (`kelpie data --help` lists them)\n'],
    [
      ['train', 'dpo', '--bta', '1'],
      'error: unknown option `--bta`; nearest: `--beta`, `--beta1`, `--beta2` (`kelpie train dpo --help` lists them)\n',
    ],
    [
      ['train', 'dpo', '--beta', '-1'],
      'error: option `--beta <n>` argument `-1` is invalid. Expected a number above 0. (`kelpie train dpo --help`)\n',
    ],
    [
      ['train', 'dpo', '--epochs', '1.5'],
      'error: option `--epochs <n>` argument `1.5` is invalid. Expected a whole number from 1. (`kelpie train dpo --help`)\n',
    ],
  ])('%j', async (argv, err) => {
    expect(await kelpie(argv)).toMatchObject({ code: 2, err });
  });

  it('names commands near an unknown one', async () => {
    const { code, err } = await kelpie(['trian']);
    expect(code).toBe(2);
    expect(err).toMatch(/^error: unknown command `trian`; nearest: `train`, .* \(`kelpie --help` lists them\)\n$/);
  });

  it('names objectives near an unknown one', async () => {
    const { code, err } = await kelpie(['train', 'dpoo']);
    expect(code).toBe(2);
    expect(err).toMatch(/^error: unknown objective `dpoo`; nearest: `dpo`/);
    expect((await kelpie(['objectives', 'dpoo'])).err).toContain('Did you mean `dpo`');
  });

  it('gives every objective its own options, with their defaults', async () => {
    for (const objective of offlineObjectives()) {
      const { code, out } = await kelpie(['train', objective.name, '--help']);
      expect(code).toBe(0);
      for (const { description } of objective.describeOptions())
        expect(out.replaceAll(/\s+/g, ' ')).toContain(description.slice(1, -1));
    }
  });

  it('has a help for dpo', async () => {
    expect((await kelpie(['train', 'dpo', '--help'])).out).toMatchInlineSnapshot(`
      "Usage: kelpie train dpo --data <file...> --model <folder> --out <folder> [options]

      Direct preference optimisation. Raises the logratio of chosen over that of
      rejected, with a logistic loss on their margin.
      Rafailov et al. 2023, arXiv:2305.18290

      Options of dpo:
        --beta <n>                  weight of the pull to the reference (default: 0.1)
        --label-smoothing <n>       share of pairs taken to be the wrong way round
                                    (default: 0)
        --nll-weight <n>            weight of the negative log-likelihood of the
                                    chosen completion (default: 0)
        --nll-reduction <name>      mean over all chosen tokens of the step, mean of
                                    row means, or mean of row sums (tokens, rows,
                                    sums; default: tokens)

      Config:
        -c, --config <file...>      values from YAML; later files win, and what is
                                    said here wins over all
        --set <key=value...>        a value by its place in the config:
                                    training.learningRate=1e-5
        --dry-run                   shows config, tokens, memory and two rows, and
                                    stops

      Data:
        -d, --data <file...>        pairs: prompt, chosen, rejected; .jsonl or .json,
                                    also .gz
        --heldout <file...>         rows to evaluate on, in place of a share of the
                                    data
        --format <name>             how the rows are laid out (implicit-prompt,
                                    labelled, messages, messages-pairs, pairs,
                                    prompt-completion, text; default: found by their
                                    columns)
        --columns <name=column...>  columns under other names: prompt=question
        --on-bad-row <error|drop>   lists all bad rows and stops, or leaves them out
                                    and counts them (default: error)
        --truncation <rule>         of rows that are too long (prompt-start, end,
                                    drop, error; default: prompt-start for pairs; a
                                    prompt that leaves no room is a bad row)
        --max-length <n>            tokens of a row at most (default: the model's
                                    context)
        --score-from <name>         where the sides of a pair begin to count (shared,
                                    per-side; default: shared)

      Model:
        -m, --model <folder>        a Hugging Face model folder to start from
        --init <config.json>        or the config of a model to start from random
                                    weights
        --reference <folder...>     what the policy is held to; several, as one=0.5
                                    two=0.5, for their mean (default: its start)
        -o, --out <folder>          where the run and its model go
        --resume                    goes on from the newest checkpoint in --out
        --tokenizer <folder>        where the tokenizer is (default: the model's
                                    folder)
        --threads <n>               threads of the arithmetic (default: one a core)

      LoRA:
        --lora [rank]               trains a low-rank adapter instead of the weights,
                                    of rank 16 if not told
        --lora-alpha <n>            scales the adapter by alpha / rank (default: twice
                                    the rank)
        --lora-rslora               scales it by alpha / sqrt(rank)
        --dora                      trains the magnitudes of its rows apart from their
                                    directions
        --lora-targets <names>      layers that get one: q_proj,v_proj (default:
                                    all-linear, all but the head)
        --adapter <folder>          a PEFT folder to go on training
        --merge                     saves the whole model with the adapter merged in,
                                    not a PEFT folder

      Training:
        --learning-rate <n>         peak learning rate of AdamW (default: 5e-6)
        --schedule <name>           how the learning rate goes on after the warm-up
                                    (constant, linear, cosine; default: linear)
        --warmup-steps <n>          steps in which the learning rate rises from 0 to
                                    its peak (default: 0)
        --batch-size <n>            rows of one optimizer step: pairs, for preferences
                                    (default: 32)
        --micro-batch-tokens <n>    tokens computed at once at most, padding included;
                                    decides on memory, not on the result. Without it
                                    4096, from 10 million parameters on 1024, or the
                                    longest row if that is more
        --micro-batch-rows <n>      rows computed at once at most
        --epochs <n>                passes over the data (default: 1)
        --max-steps <n>             stops after this many steps; passes are added as
                                    needed
        --no-shuffle                turns off: a new order of the rows each pass, from
                                    the seed
        --weight-decay <n>          decoupled weight decay, times the learning rate
                                    (default: 0)
        --decay <matrices|all>      what decays: \`matrices\` spares norms and biases
                                    (default: matrices)
        --beta1 <n>                 decay of AdamW's first moment (default: 0.9)
        --beta2 <n>                 decay of AdamW's second moment (default: 0.999)
        --eps <n>                   AdamW's epsilon (default: 1e-8)
        --max-grad-norm <n>         the gradient is clipped to this global L2 norm; 0:
                                    never (default: 1)
        --sync-reference-every <n>  steps between moves of the reference towards the
                                    policy, as in TR-DPO; 0: it stands still (default:
                                    0)
        --reference-mixture <n>     the policy's share of the reference after such a
                                    move; 1 makes it the policy (default: 0.6)
        --temperature <n>           divides the logits before any score is taken
                                    (default: 1)
        --no-entropy                turns off: logs the entropy of the next-token
                                    distribution: one more score
        --heldout-fraction <n>      rows held out: a share below 1, a number from 1,
                                    none at 0 (default: 0.1)
        --evaluate-every <n>        steps between evaluations; 0: only before the
                                    first and after the last (default: 0)
        --save-every <n>            steps between checkpoints; 0: only when the run is
                                    stopped (default: 0)
        --keep-checkpoints <n>      checkpoints that are kept: the newest ones
                                    (default: 2)
        --sample-prompts <n>        held-out prompts completed before and after
                                    training (default: 16)
        --sample-tokens <n>         tokens of such a completion at most (default: 64)
        --seed <n>                  decides on the order of rows, on what is held out
                                    and on sampling (default: 0)
        --no-self-check             turns off: a few identities are checked before the
                                    first step

      Options:
        -h, --help                  this help

      Examples:
        kelpie train dpo --model base --data pairs.jsonl --out out --learning-rate 1e-5 --epochs 2
        kelpie train dpo --model base --data pairs.jsonl --out out --lora 16 --learning-rate 1e-4
      "
    `);
  });

  it('shows a stack only when asked', async () => {
    const argv = ['generate', '--model', at('nowhere'), '-p', 'a'];
    expect((await kelpie(argv)).err).not.toContain('    at ');
    expect((await kelpie([...argv, '--debug'])).err).toContain('    at ');
  });

  it('colours a terminal, unless NO_COLOR', async () => {
    const escaped = '\u001b[';
    expect((await kelpie(['objectives'], { tty: true })).out).toContain(escaped);
    expect((await kelpie(['objectives'], { tty: true, env: { NO_COLOR: '1' } })).out).not.toContain(escaped);
    expect((await kelpie(['objectives'])).out).not.toContain(escaped);
  });
});

const bin = fileURLToPath(new URL('../bin/kelpie.js', import.meta.url));
const built = existsSync(new URL('../dist/main.js', import.meta.url));

describe.skipIf(!built)('the built command (skipped until `npm run build`)', () => {
  const spawn = (...argv: string[]) => spawnSync(process.execPath, [bin, ...argv], { encoding: 'utf8' });

  it('tells its version', () => {
    expect(spawn('--version')).toMatchObject({ status: 0, stdout: '0.1.0\n', stderr: '' });
  });

  it('ends with 2 at an error of the user', () => {
    expect(spawn('train', 'dpo')).toMatchObject({ status: 2, stdout: '' });
  });
});
