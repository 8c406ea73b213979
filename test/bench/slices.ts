import type { ChildProcess } from 'node:child_process';

/** Whether programs can be stopped and go on here. */
export const canSlice = process.platform !== 'win32';

/**
 * Programs that take turns of `ms` milliseconds: while one runs, all others are stopped. What slows the machine down for
 * a few seconds slows all of them down. Each must lead a process group. A step that is cut, and the next, take longer:
 * what is measured has to be a median of steps many of which fit into a turn.
 */
export class Slices {
  readonly #ms: number;
  readonly #waiting: ChildProcess[] = [];
  #running: ChildProcess | undefined;
  #turn: NodeJS.Timeout | undefined;

  constructor(ms: number) {
    this.#ms = ms;
  }

  /** Stops a program until its turn comes; after its end the next goes on. One that could not be started has no turn. */
  join(child: ChildProcess): void {
    if (child.pid === undefined) return;
    signalGroup(child, 'SIGSTOP');
    this.#waiting.push(child);
    child.once('exit', () => {
      // What it has started would run on beside the next one.
      signalGroup(child, 'SIGKILL');
      if (this.#running === child) {
        this.#running = undefined;
        this.#next();
      } else this.#waiting.splice(this.#waiting.indexOf(child), 1);
    });
    if (this.#running === undefined) this.#next();
  }

  #next(): void {
    clearTimeout(this.#turn);
    if (this.#running !== undefined) {
      signalGroup(this.#running, 'SIGSTOP');
      this.#waiting.push(this.#running);
    }
    this.#running = this.#waiting.shift();
    if (this.#running === undefined) return;
    signalGroup(this.#running, 'SIGCONT');
    this.#turn = setTimeout(() => this.#next(), this.#ms);
  }
}

/** To a program that leads a group and all it has started; those that are gone get nothing. */
export function signalGroup({ pid }: ChildProcess, signal: NodeJS.Signals): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, signal);
  } catch (error) {
    // A group of which nothing but zombies is left refuses in its own way on some systems.
    if (!['ESRCH', 'EPERM'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
  }
}
