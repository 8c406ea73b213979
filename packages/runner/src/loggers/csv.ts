import type { Logger } from '../events.js';
import { LineFile } from '../lines.js';

/**
 * The same numbers as `metrics.jsonl`, a line each: `step,epoch,key,value`. Long rather than wide, so that a metric that
 * comes later needs no column of its own.
 */
export function csv(file: string): Logger {
  const lines = new LineFile(file, { head: 'step,epoch,key,value\n', stepOf: (line) => Number.parseInt(line, 10) });
  const write = (step: number, epoch: number, metrics: Readonly<Record<string, number>>) => {
    for (const [key, value] of Object.entries(metrics)) lines.write(`${step},${epoch},${quoted(key)},${value}`);
  };
  return {
    name: 'csv',
    essential: true,
    log(event) {
      if (event.type === 'start') lines.start(event);
      if (event.type === 'step') {
        const { step, epoch, loss, gradNorm, learningRate, metrics } = event;
        write(step, epoch, { loss, grad_norm: gradNorm, learning_rate: learningRate, ...metrics });
      }
      if (event.type === 'evaluation') write(event.step, event.epoch, event.metrics);
    },
    flush: () => lines.flush(),
  };
}

function quoted(text: string): string {
  return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
