import { existsSync, readFileSync } from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { scratch } from '../../testing/tiny.js';
import { runShell } from './shell.js';

const place = scratch();
const { env } = process;

const run = (command: string, signal = new AbortController().signal) => runShell(command, { env, signal });

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await wait(20);
}

const runs = (pid: number) => {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  // A process that is gone and not yet fetched by its parent runs no longer.
  const status = `/proc/${pid}/status`;
  return !existsSync(status) || !/^State:\tZ/m.test(readFileSync(status, 'utf8'));
};

describe.skipIf(process.platform === 'win32')('a command by the shell (skipped on Windows)', () => {
  it('ends well, or says how it ended; of what it says the end is kept', async () => {
    expect(await run('echo done')).toEqual({ said: 'done' });
    const { failure, said } = await run('for i in $(seq 20000); do echo line $i; done; echo no space left >&2; exit 3');
    expect(failure).toBe('it ended with 3');
    expect(said.length).toBeLessThanOrEqual(400);
    expect(said).toMatch(/line 20000\nno space left$/);
  });

  it.each([
    ['by itself', 'sleep 600'],
    ['made to, as it would not', `trap '' TERM; while :; do sleep 600; done`],
  ])('is ended with what it has started: %s', async (name, body) => {
    const file = place(name.replaceAll(/\W/g, '-'));
    const stopping = new AbortController();
    const running = run(`(${body}) & echo $! > ${file}; wait; wait`, stopping.signal);
    await until(() => existsSync(file) && readFileSync(file, 'utf8').endsWith('\n'));
    const inner = Number(readFileSync(file, 'utf8'));
    expect(runs(inner)).toBe(true);
    stopping.abort(new Error('enough'));
    await expect(running).rejects.toThrow('enough');
    await until(() => !runs(inner));
  });

  it('is not waited for where what it has started has left its group', async () => {
    const file = place('left');
    const stopping = new AbortController();
    const leaving = `setsid sh -c 'echo $$ > ${file}; exec sleep 600' & wait`;
    const running = run(leaving, stopping.signal);
    await until(() => existsSync(file) && readFileSync(file, 'utf8').endsWith('\n'));
    try {
      stopping.abort(new Error('enough'));
      await expect(running).rejects.toThrow('enough');
    } finally {
      process.kill(Number(readFileSync(file, 'utf8')), 'SIGKILL');
    }
  });
});
