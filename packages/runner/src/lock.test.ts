import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { lock, lockName, requireUnlocked } from './lock.js';
import { scratch } from './testing/tiny.js';

const place = scratch();

function folder(name: string): string {
  mkdirSync(place(name));
  return place(name);
}

const write = (at: string, holder: object) => writeFileSync(join(at, lockName), JSON.stringify(holder));

it('is one process at a time, and leaves nothing', () => {
  const at = folder('one');
  requireUnlocked(at);
  const first = lock(at);
  expect(() => lock(at)).toThrow(`process ${process.pid} is running in this folder: wait for it, or choose another`);
  expect(() => requireUnlocked(at)).toThrow('is running in this folder');
  first.release();
  lock(at).release();
  expect(readdirSync(at)).toEqual([]);
});

it('of a process that lives is respected, of one that is dead taken over', async () => {
  const at = folder('other');
  const { pid: dead } = spawnSync(process.execPath, ['--version']);
  write(at, { pid: dead, host: hostname() });
  const own = lock(at);
  expect(JSON.parse(readFileSync(join(at, lockName), 'utf8'))).toMatchObject({ pid: process.pid });
  own.release();
  const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)']);
  write(at, { pid: child.pid, host: hostname() });
  expect(() => lock(at)).toThrow(`process ${child.pid} is running in this folder`);
  const ended = new Promise((resolve) => child.on('exit', resolve));
  child.kill('SIGKILL');
  await ended;
  lock(at).release();
});

it.skipIf(!existsSync('/proc/self/stat'))('of a process whose number another one has now is taken over', () => {
  const at = folder('again');
  write(at, { pid: process.pid, host: hostname(), began: 'long ago' });
  lock(at).release();
});

it('of another machine stays, and how to take it away is said', () => {
  const at = folder('far');
  write(at, { pid: 1, host: 'elsewhere' });
  expect(() => lock(at)).toThrow(
    'process 1 of elsewhere is running in this folder: wait for it, or choose another folder; if it has ended, remove run.lock',
  );
});

it('that cannot be read is of nobody', () => {
  const at = folder('odd');
  writeFileSync(join(at, lockName), '');
  lock(at).release();
});
