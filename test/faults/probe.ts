import { writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import type { Scratch } from './fixture.js';

/**
 * Where a process is to die: `delayMs` behind the `nth` beginning of what a policy's thread is asked (`sample`, `score`,
 * `pull`, `step`, `saveState`, `save` ..., as a regular expression), of `fetch`, or of `reward`, which a reward of the test
 * says itself by `probed`.
 */
export interface Death {
  readonly at: string;
  readonly nth: number;
  readonly delayMs: number;
}

/** Put before the command by NODE_OPTIONS: watches what is sent to the policy's thread, and kills the process as told. */
const PROBE = `
import { isMainThread, Worker } from 'node:worker_threads';

const { at, nth, delayMs } = JSON.parse(process.env.KELPIE_TEST_DEATH ?? '{"at":"","nth":0}');
let begun = 0;
globalThis.probed = (name) => {
  if (new RegExp(\`^(\${at})$\`).test(name) && ++begun === nth) setTimeout(() => process.kill(process.pid, 'SIGKILL'), delayMs);
};
if (isMainThread) {
  const { fetch } = globalThis;
  globalThis.fetch = (...given) => {
    globalThis.probed('fetch');
    return fetch(...given);
  };
  const { postMessage } = Worker.prototype;
  Worker.prototype.postMessage = function (message, ...others) {
    if (message?.method !== undefined) globalThis.probed(message.method);
    return postMessage.call(this, message, ...others);
  };
}
`;

/** The environment of a process that dies so. */
export function dying(scratch: Scratch, death: Death): Record<string, string> {
  const probe = pathToFileURL(scratch.at('probe.mjs')).href;
  writeFileSync(scratch.at('probe.mjs'), PROBE);
  return { NODE_OPTIONS: `--import=${probe}`, KELPIE_TEST_DEATH: JSON.stringify(death) };
}
