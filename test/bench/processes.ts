import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type Slices, signalGroup } from './slices.js';

export interface Surroundings {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Whom it shares the machine with. */
  readonly slices?: Slices;
}

const ends = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;

/** Runs a program to its end; what it gives is the last line it prints that is JSON. */
export async function runForJson<T>(
  command: string,
  args: readonly string[],
  { env = {}, cwd = process.cwd(), slices }: Surroundings = {},
): Promise<T> {
  // A group of its own takes the compilers that it starts along.
  const detached = slices !== undefined;
  const child = spawn(command, args, {
    cwd,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached,
  });
  slices?.join(child);
  // Whoever stops the bench stops those it waits for, which would slow down whatever is measured next.
  const stop = () => (detached ? signalGroup(child, 'SIGKILL') : child.kill());
  const stopAll = () => process.exit(1);
  process.once('exit', stop);
  for (const signal of ends) process.on(signal, stopAll);
  const [out, err]: [Buffer[], Buffer[]] = [[], []];
  child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => err.push(chunk));
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', resolve);
  }).finally(() => {
    process.off('exit', stop);
    for (const signal of ends) process.off(signal, stopAll);
  });
  const said = Buffer.concat(out).toString();
  const line = said.split('\n').findLast((line) => line.startsWith('{'));
  if (code !== 0 || line === undefined) {
    const last = Buffer.concat(err).toString().trim().split('\n').slice(-3).join('\n');
    throw new Error(`it ended with ${code === null ? 'a signal' : `code ${code}`}: ${last}`);
  }
  return JSON.parse(line) as T;
}

/** Runs one of `ours/` in a process of its own, so that its peak memory is its own. */
export function ours<Input, Output>(program: string, input: Input, slices?: Slices): Promise<Output> {
  const file = fileURLToPath(new URL(`./ours/${program}.js`, import.meta.url));
  return runForJson<Output>(process.execPath, [file, JSON.stringify(input)], slices && { slices });
}

/** In a program of `ours/`: what it was given. */
export function given<Input>(): Input {
  return JSON.parse(process.argv[2] ?? '{}') as Input;
}

/** In a program of `ours/`: what it found. */
export function answer(output: object): void {
  console.log(JSON.stringify(output));
}

/** Largest resident set so far of this process, all threads, in MB. */
export function peakRssMb(): number {
  try {
    // Unlike getrusage's, this one starts anew with the program.
    const [, kib] = /VmHWM:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8')) ?? [];
    if (kib !== undefined) return (Number(kib) * 1024) / 1e6;
  } catch {
    // No such file: another system than Linux.
  }
  return (process.resourceUsage().maxRSS * 1024) / 1e6;
}
