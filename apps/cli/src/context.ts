import type { ReadConfig } from './config/read.js';
import type { Io, Terminal } from './print.js';

/** What a command is given. */
export interface Context {
  readonly terminal: Terminal;
  readonly io: Io;
  /** The command line behind the program's name. */
  readonly argv: readonly string[];
  /** Reads each file once: a pipe has nothing more to give. */
  readonly readConfig: ReadConfig;
  /** The exit code of a command that ends without an error, other than 0. */
  leaveWith(code: number): void;
}
