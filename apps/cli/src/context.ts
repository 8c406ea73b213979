import type { Io, Terminal } from './print.js';

/** What a command is given. */
export interface Context {
  readonly terminal: Terminal;
  readonly io: Io;
  /** The command line behind the program's name. */
  readonly argv: readonly string[];
  /** The exit code of a command that ends without an error, other than 0. */
  leaveWith(code: number): void;
}
