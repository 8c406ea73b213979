import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { built, pairLines, Scratch, start, tinyModel } from './fixture.js';
import { inspect } from './whole.js';

const scratch = new Scratch();
afterAll(() => scratch.remove());

const steps = 120;
const argv = (out: string, ...more: string[]) => [
  ...['train', 'dpo', '--model', scratch.at('base'), '--data', scratch.at('pairs.jsonl'), '--out', out],
  ...['--threads', '1', '--batch-size', '4', '--max-steps', String(steps), '--learning-rate', '1e-3'],
  ...['--keep-checkpoints', '3', '--evaluate-every', '50', '--sample-prompts', '2', '--sample-tokens', '4', ...more],
];
const results = ['model/model.safetensors', 'metrics.jsonl', 'run.json'];
const resultsOf = (out: string) => results.map((name) => readFileSync(join(out, name)));
const checkpoints = (out: string) => readdirSync(join(out, 'checkpoints')).sort();

describe.skipIf(!built)('Ctrl-C (skipped until `npm run build`)', () => {
  beforeAll(async () => {
    await tinyModel(scratch.at('base'));
    scratch.write('pairs.jsonl', pairLines(20).join('\n'));
    const { code, err } = await start(argv(scratch.at('whole'))).ended;
    expect(code, err).toBe(0);
  });

  it('finishes the step, keeps it, says how to go on; what goes on ends as the run that was never stopped', async () => {
    const out = scratch.at('stopped');
    let command = argv(out, '--save-every', '4');
    let last = 0;
    for (const pattern of [/step-000004$/m, /step-000060$/m]) {
      const { child, ended, says } = start(command);
      await says(pattern);
      child.kill('SIGINT');
      const { code, out: text, err } = await ended;
      expect(code, err).toBe(130);
      expect(err).toContain('finishing this step and writing a checkpoint; Ctrl-C again stops at once');
      const [, step, again] = /stopped after step (\d+) of 120; to go on:\n {2}kelpie (.*)\n/.exec(text) ?? [];
      expect(Number(step)).toBeGreaterThan(last);
      last = Number(step);
      expect(again).toBe([...command, ...(command.includes('--resume') ? [] : ['--resume'])].join(' '));
      expect(inspect(out, { settled: true })).toEqual({ temporary: [], broken: [] });
      const names = checkpoints(out);
      expect(names.at(-1)).toBe(`step-${String(last).padStart(6, '0')}`);
      expect(names.length).toBeLessThanOrEqual(3);
      command = again!.split(' ');
    }
    const { code, err } = await start(command).ended;
    expect(code, err).toBe(0);
    expect(checkpoints(out)).toEqual(['step-000108', 'step-000112', 'step-000116']);
    const whole = resultsOf(scratch.at('whole'));
    for (const [i, bytes] of resultsOf(out).entries()) expect(bytes.equals(whole[i]!), results[i]).toBe(true);
  });

  it('twice stops at once, and the last checkpoint stays whole', async () => {
    const out = scratch.at('twice');
    // A step of all rows in one batch, many times over: long enough for the second Ctrl-C to fall into it.
    const slow = argv(out, '--save-every', '1').map((word, i, all) => (all[i - 1] === '--batch-size' ? '4000' : word));
    const { child, ended, says } = start(slow);
    await says(/^checkpoint .*step-000001$/m);
    child.kill('SIGINT');
    await says(/Ctrl-C again stops at once/);
    const began = performance.now();
    child.kill('SIGINT');
    const { code, signal, out: text, err } = await ended;
    // A shell tells a SIGINT as 130.
    expect({ code, signal }, err).toEqual({ code: null, signal: 'SIGINT' });
    expect(text).not.toContain('stopped after step');
    expect(performance.now() - began).toBeLessThan(1500);
    const { broken } = inspect(out, { settled: true });
    expect(broken).toEqual([]);
    expect(existsSync(join(out, 'run.json'))).toBe(false);
    expect(checkpoints(out)).toContain('step-000001');
  });
});
