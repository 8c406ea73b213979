import type { Logger } from '../events.js';
import { LineFile } from '../lines.js';
import { jsonStep } from './jsonl.js';

/** `rollouts.jsonl`: one line a completion, with ids, log-probabilities, every part of its reward and its advantage. */
export function rollouts(file: string): Logger {
  const lines = new LineFile(file, { stepOf: jsonStep });
  return {
    name: 'rollouts',
    essential: true,
    log(event) {
      if (event.type === 'start') lines.start(event);
      if (event.type !== 'rollouts' || event.rows.length === 0) return;
      lines.write(event.rows.map((row) => JSON.stringify(row)).join('\n'));
    },
    flush: () => lines.flush(),
  };
}
