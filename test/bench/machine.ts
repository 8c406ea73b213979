import { cpus, totalmem } from 'node:os';
import { env } from 'onnxruntime-node';

/** What the figures depend on, in one line. */
export function machineText(threads: number): string {
  const cores = cpus();
  const model = cores[0]?.model.trim() ?? 'unknown processor';
  const memory = Math.round(totalmem() / 2 ** 30);
  const versions = `Node ${process.versions.node}, onnxruntime ${env.versions.node ?? env.versions.common}`;
  return `${model}, ${cores.length} cores, ${memory} GiB; ${versions}; ${threads} threads`;
}
