import {
  appendFileSync,
  closeSync,
  existsSync,
  fsyncSync,
  openSync,
  readSync,
  renameSync,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { makeFolder, writeError } from '@kelpie/policy';
import type { EventOf } from './events.js';
import { besides } from './files.js';

/**
 * A file of lines that grows with a run and goes on with a resumed one. A line is written at once, whole.
 *
 * @throws KelpieError `cannot-write` where the system refuses.
 */
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

  /** Begins anew, or drops all that stands behind the step that is resumed. The file may be larger than memory. */
  start(event: EventOf<'start'>): void {
    makeFolder(dirname(this.#file));
    this.#told(() => this.#begin(event));
  }

  #begin({ step, resumed }: EventOf<'start'>): void {
    // What stands there is replaced at once: a process that dies here loses no line.
    const temporary = besides(this.#file);
    const out = openSync(temporary, 'wx');
    try {
      writeFileSync(out, this.#head);
      if (resumed && existsSync(this.#file)) {
        for (const lines of blocksOf(this.#file, Buffer.byteLength(this.#head))) {
          const kept = lines.filter((line) => this.#stepOf(line) <= step);
          writeFileSync(out, kept.map((line) => `${line}\n`).join(''));
        }
      }
      fsyncSync(out);
    } finally {
      closeSync(out);
    }
    renameSync(temporary, this.#file);
  }

  write(line: string): void {
    this.#told(() => appendFileSync(this.#file, `${line}\n`));
  }

  async flush(): Promise<void> {
    if (!existsSync(this.#file)) return;
    this.#told(() => {
      const handle = openSync(this.#file, 'r+');
      try {
        fsyncSync(handle);
      } finally {
        closeSync(handle);
      }
    });
  }

  #told(write: () => void): void {
    try {
      write();
    } catch (error) {
      throw writeError(this.#file, error);
    }
  }
}

const BLOCK = 1 << 20;

/** The whole lines of a file from a byte on, some at a time; what stands behind the last line's end is left out. */
function* blocksOf(file: string, from: number): Generator<string[]> {
  const handle = openSync(file, 'r');
  try {
    const block = Buffer.alloc(BLOCK);
    let begun: Buffer[] = [];
    for (let at = from; ; ) {
      const length = readSync(handle, block, 0, BLOCK, at);
      if (length === 0) return;
      at += length;
      const read = block.subarray(0, length);
      const end = read.lastIndexOf(0x0a);
      if (end >= 0)
        yield Buffer.concat([...begun, read.subarray(0, end)])
          .toString('utf8')
          .split('\n');
      if (end >= 0) begun = [];
      begun.push(Buffer.from(read.subarray(end + 1)));
    }
  } finally {
    closeSync(handle);
  }
}
