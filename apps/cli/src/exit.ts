import { CommanderError } from '@commander-js/extra-typings';
import type { Terminal } from './print.js';

/** `found`: a check was made, and something failed it. */
export const exitCodes = { done: 0, internal: 1, found: 1, user: 2, interrupted: 130 } as const;

/** Something about the command line itself, with what to do about it. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** By name, since an error that crossed a thread keeps its name but not always its class. */
const userErrors = new Set([
  'UsageError',
  'KelpieError',
  'ObjectiveError',
  'DataError',
  'OnnxError',
  'RewardError',
  'ReportError',
]);

/** Errors of these codes carry a user's kind of name, but nothing on the command line would mend them. */
const internalCodes = new Set(['worker-gone', 'disposed', 'pullback-spent']);

export function isUserError(error: unknown): boolean {
  if (!(error instanceof Error) || !userErrors.has(error.name)) return false;
  return !internalCodes.has(String((error as { code?: unknown }).code));
}

/** Remedies of the libraries name options of functions; here they are flags. */
const asFlags: readonly (readonly [RegExp, string])[] = [
  [/`onBadRow: 'drop'`/g, '`--on-bad-row drop`'],
  [/`columns`, for instance \{ prompt: 'question' \}/g, '`--columns prompt=question`'],
  [/Say which with `format`/g, 'Say which with `--format`'],
  [/`maxLength`/g, '`--max-length`'],
  [/`truncation`/g, '`--truncation`'],
  [/`microBatchTokens`/g, '`--micro-batch-tokens`'],
  [/`files`/g, '`--data`'],
];

/** Says what went wrong and gives the exit code; the stack only of internal errors, or when asked for. */
export function report(error: unknown, terminal: Terminal, { debug }: { readonly debug: boolean }): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.done : exitCodes.user;
  terminal.status('');
  const { red, dim } = terminal.noteColor;
  const thrown = error instanceof Error ? error : new Error(String(error));
  if (!isUserError(thrown)) {
    terminal.note(`${red('internal error:')} ${thrown.stack ?? thrown.message}`);
    if (thrown.cause !== undefined) terminal.note(dim(`caused by ${stackOf(thrown.cause)}`));
    return exitCodes.internal;
  }
  const message = asFlags.reduce((text, [pattern, flag]) => text.replace(pattern, flag), thrown.message);
  terminal.note(`${red('error:')} ${message}`);
  if (debug) {
    terminal.note(dim(thrown.stack ?? ''));
    if (thrown.cause !== undefined) terminal.note(dim(`caused by ${stackOf(thrown.cause)}`));
  }
  return exitCodes.user;
}

function stackOf(cause: unknown): string {
  return cause instanceof Error ? (cause.stack ?? cause.message) : String(cause);
}
