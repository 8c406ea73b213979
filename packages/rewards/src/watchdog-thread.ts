import { writeSync } from 'node:fs';
import { Session } from 'node:inspector';
import { parentPort, workerData } from 'node:worker_threads';
import { beatMs, type Guarded, type Notice, patienceMs, shared } from './watchdog.js';

/** The thread of `guarded`. It counts its own ticks, not the clock: while the process is held, neither thread gets on. */
const seen = workerData as Int32Array;
const underWay = new Map<number, Guarded>();
let timer: NodeJS.Timeout | undefined;
let beats = 0;
let quietMs = 0;
let interrupted = false;

parentPort!.on('message', ({ id, begins }: Notice) => {
  if (begins === undefined) underWay.delete(id);
  else underWay.set(id, begins);
  if (underWay.size > 0) {
    timer ??= setInterval(look, beatMs);
    return;
  }
  clearInterval(timer);
  timer = undefined;
});

function look(): void {
  const now = Atomics.load(seen, shared.beats);
  if (now !== beats) {
    [beats, quietMs, interrupted] = [now, 0, false];
    return;
  }
  quietMs += beatMs;
  if (quietMs < patienceMs(Math.max(...[...underWay.values()].map(({ timeoutMs }) => timeoutMs)))) return;
  if (interrupted) {
    tell('it cannot be interrupted, so the process is killed (exit code 137); a run goes on from its last checkpoint');
    process.kill(process.pid, 'SIGKILL');
  }
  tell('it is interrupted');
  [quietMs, interrupted] = [0, true];
  Atomics.add(seen, shared.stops, 1);
  const session = new Session();
  session.connectToMainThread();
  session.post('Runtime.terminateExecution', () => session.disconnect());
}

/** On stderr itself: the other thread, which streams would go through, is not to be had. */
function tell(what: string): void {
  const all = [...underWay.values()];
  const calls = [...new Set(all.map(({ reward }) => reward))].map((name) => {
    const rows = all.filter(({ reward }) => reward === name).map(({ rows }) => rows);
    return `\`${name}\` on ${rows.join(', ')}`;
  });
  const busy = `nothing else has run for ${(quietMs / 1000).toFixed(1)} s`;
  writeSync(2, `kelpie: a function of the reward ${calls.join(' or ')} does not return: ${busy}, and ${what}.\n`);
}
