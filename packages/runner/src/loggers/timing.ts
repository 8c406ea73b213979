import type { Logger } from '../events.js';
import { LineFile } from '../lines.js';
import { jsonStep } from './jsonl.js';

/** `timing.jsonl`: what steps and evaluations took. */
export function timing(file: string): Logger {
  const lines = new LineFile(file, { stepOf: jsonStep });
  return {
    name: 'timing',
    essential: true,
    log(event) {
      if (event.type === 'start') lines.start(event);
      if (event.type === 'step') {
        const { seconds, tokens, tokensPerSecond, peakRssBytes, phases = {} } = event.timing;
        const fields = {
          step: event.step,
          seconds,
          tokens,
          tokens_per_second: tokensPerSecond,
          peak_rss_bytes: peakRssBytes,
          ...Object.fromEntries(Object.entries(phases).flatMap(speeds)),
        };
        lines.write(JSON.stringify(fields));
      }
      if (event.type === 'evaluation') lines.write(JSON.stringify({ step: event.step, eval_seconds: event.seconds }));
    },
    flush: () => lines.flush(),
  };
}

function speeds([phase, { seconds, tokens }]: [string, { readonly seconds: number; readonly tokens: number }]) {
  return [
    [`${phase}_seconds`, seconds],
    [`${phase}_tokens_per_second`, tokens / seconds],
  ];
}
