import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { lines, reviews, small, Workspace, weights } from '../testing/workspace.js';

const { at, kelpie, sftArgv, dpoArgv, trainBase } = new Workspace('train');

beforeAll(trainBase);

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
