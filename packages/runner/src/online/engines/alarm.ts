import type { RolloutEngine } from './engine.js';
import { inProcess } from './in-process.js';

/** Says when an engine's log-probabilities go further from the policy's than its bound, and again only after they came back. */
export function samplerAlarm({ name, logprobBound }: RolloutEngine = inProcess) {
  let off = false;
  return (metrics: Readonly<Record<string, number>>): string[] => {
    const { 'sampler/mean_logprob_difference': mean = 0, 'sampler/share_off': share = 0 } = metrics;
    const before = off;
    off = mean > logprobBound;
    if (!off || before) return [];
    return [
      `the log-probabilities of the engine \`${name}\` are ${mean.toPrecision(2)} nats a token from the policy's, ${(100 * share).toFixed(1)} % of the tokens by more than 0.1, where up to ${logprobBound} is expected: ${consequence(name)}`,
    ];
  };
}

function consequence(engine: string): string {
  return engine === inProcess.name
    ? 'decoding and scoring disagree. Where rotary angles change with the length of a sequence (`dynamic`, `longrope`) they may; else it is a fault of the policy, and what was learnt cannot be relied on'
    : "it may draw from other weights or at another temperature. What is learnt rests on the policy's own log-probabilities, but of completions that it would not have drawn so";
}
