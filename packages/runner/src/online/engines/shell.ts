import { spawn } from 'node:child_process';

/** Of what a command says, as much is kept as an error can show. */
const kept = 400;
/** What a command has to end by itself, once it is asked to. */
const graceMs = 1000;

export interface ShellOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Ends the command and all that it has started. */
  readonly signal: AbortSignal;
}

/** How a command ended, `undefined` where it ended well, and the end of what it said on both streams. */
export interface ShellResult {
  readonly failure?: string;
  readonly said: string;
}

/**
 * Runs a command by the shell, in a process group of its own. When the signal is given, the group is asked to end (SIGTERM) and a
 * second later made to (SIGKILL); where processes have no groups (Windows), only the shell is. The same becomes of it when this process exits.
 * @throws the signal's reason when it is given, once the shell is gone; or the system's error where nothing can be started
 */
export async function runShell(command: string, { env, signal }: ShellOptions): Promise<ShellResult> {
  signal.throwIfAborted();
  const grouped = process.platform !== 'win32';
  const child = spawn(command, { shell: true, detached: grouped, env, stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      said = (said + chunk).slice(-kept);
    });
  }
  const end = (by: NodeJS.Signals) => {
    try {
      if (grouped && child.pid !== undefined) process.kill(-child.pid, by);
      else child.kill(by);
    } catch {
      // Nothing of it is left.
    }
  };
  let forced: NodeJS.Timeout | undefined;
  const stop = () => {
    end('SIGTERM');
    forced = setTimeout(() => {
      end('SIGKILL');
      // A process that has left the group may still hold them.
      for (const stream of [child.stdout, child.stderr]) stream.destroy();
    }, graceMs);
  };
  const exit = () => end('SIGKILL');
  signal.addEventListener('abort', stop, { once: true });
  process.once('exit', exit);
  try {
    const failure = await new Promise<string | undefined>((done, reject) => {
      child.on('error', reject);
      child.on('close', (code, by) => done(code === 0 ? undefined : `it ended with ${code ?? by}`));
    });
    signal.throwIfAborted();
    return { ...(failure !== undefined && { failure }), said: said.trim() };
  } finally {
    if (forced !== undefined) {
      clearTimeout(forced);
      end('SIGKILL');
    }
    signal.removeEventListener('abort', stop);
    process.removeListener('exit', exit);
  }
}
