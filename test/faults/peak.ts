import { readFileSync, writeFileSync } from 'node:fs';

/** Sets the peak of this process's resident memory back to what is in use. */
function reset(): boolean {
  try {
    writeFileSync('/proc/self/clear_refs', '5');
    return true;
  } catch {
    return false;
  }
}

/** In bytes: `VmHWM` is the peak, `VmRSS` what is in use. */
function resident(name: 'VmHWM' | 'VmRSS'): number {
  return Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(readFileSync('/proc/self/status', 'utf8'))?.[1]) * 1024;
}

/** Whether the system shows peaks, also of what was given back. */
export const seesPeaks: boolean = reset();

/** Begins to measure; what it returns gives the bytes that memory has grown by at its peak since. */
export function peakFromHere(): () => number {
  if (!seesPeaks) {
    const inUse = () => process.memoryUsage().heapUsed + process.memoryUsage().arrayBuffers;
    const before = inUse();
    return () => inUse() - before;
  }
  reset();
  const before = resident('VmRSS');
  return () => resident('VmHWM') - before;
}
