import type { Logger } from '../events.js';
import { LineFile } from '../lines.js';

/**
 * `metrics.jsonl`: one line a step, and one an evaluation, under the keys that dashboards for TRL know. No times: two
 * runs on one machine write the same bytes, and so does a run that was stopped and resumed.
 */
export function jsonl(file: string): Logger {
  const lines = new LineFile(file, { stepOf: jsonStep });
  return {
    name: 'jsonl',
    essential: true,
    log(event) {
      if (event.type === 'start') lines.start(event);
      if (event.type === 'step') {
        const { step, epoch, loss, gradNorm, learningRate, metrics } = event;
        lines.write(
          JSON.stringify({ step, epoch, loss, grad_norm: gradNorm, learning_rate: learningRate, ...metrics }),
        );
      }
      if (event.type === 'evaluation') {
        const { step, epoch, metrics } = event;
        lines.write(JSON.stringify({ step, epoch, ...metrics }));
      }
    },
    flush: () => lines.flush(),
  };
}

/** `step` of a line of JSON; NaN where there is none. */
export function jsonStep(line: string): number {
  try {
    return Number((JSON.parse(line) as { step?: number }).step ?? Number.NaN);
  } catch {
    return Number.NaN;
  }
}
