import {
  appendFileSync,
  closeSync,
  existsSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { makeFolder } from '@kelpie/policy';
import type { EventOf } from './events.js';
import { besides } from './files.js';

/** A file of lines that grows with a run and goes on with a resumed one. A line is written at once, whole. */
export class LineFile {
  readonly #file: string;
  readonly #head: string;
  readonly #stepOf: (line: string) => number;

  /** @param stepOf the step that a line belongs to; NaN for a line that is no whole one. */
  constructor(
    file: string,
    { head = '', stepOf }: { readonly head?: string; readonly stepOf: (line: string) => number },
  ) {
    this.#file = file;
    this.#head = head;
    this.#stepOf = stepOf;
  }

  /** Begins anew, or drops all that stands behind the step that is resumed. */
  start({ step, resumed }: EventOf<'start'>): void {
    makeFolder(dirname(this.#file));
    const old = resumed && existsSync(this.#file) ? readFileSync(this.#file, 'utf8') : '';
    const whole = old
      .slice(this.#head.length, old.lastIndexOf('\n') + 1)
      .split('\n')
      .slice(0, -1);
    const kept = whole.filter((line) => this.#stepOf(line) <= step);
    // What stands there is replaced at once: a process that dies here loses no line.
    const temporary = besides(this.#file);
    writeFileSync(temporary, this.#head + kept.map((line) => `${line}\n`).join(''));
    renameSync(temporary, this.#file);
  }

  write(line: string): void {
    appendFileSync(this.#file, `${line}\n`);
  }

  async flush(): Promise<void> {
    if (!existsSync(this.#file)) return;
    const handle = openSync(this.#file, 'r+');
    fsyncSync(handle);
    closeSync(handle);
  }
}
