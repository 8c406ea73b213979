import { createContext, Script } from 'node:vm';
import { TimeoutError } from './parallel.js';

const call = new Script('run()');

/**
 * Runs code that may never return, as a regular expression that backtracks or a loop of the user's, and stops it after
 * `timeoutMs`. Only what runs before the first `await` can be stopped so.
 */
export function interrupter(timeoutMs: number): <Result>(run: () => Result) => Result {
  const globals: { run?: () => unknown } = {};
  const context = createContext(globals);
  return <Result>(run: () => Result): Result => {
    globals.run = run;
    try {
      return call.runInContext(context, { timeout: timeoutMs }) as Result;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      throw code === 'ERR_SCRIPT_EXECUTION_TIMEOUT' ? new TimeoutError(timeoutMs) : error;
    } finally {
      delete globals.run;
    }
  };
}
