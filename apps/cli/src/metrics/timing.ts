import { metricsOf } from './metric.js';

const phase = (what: string) =>
  ({
    seconds: [
      `Seconds of a step that went into ${what}.`,
      'seconds',
      'even from step to step, growing with the length of completions',
      'one phase takes nearly all: that is where to save, see the options of batches and threads',
    ],
    speed: [
      `Completion tokens a second of ${what}.`,
      'tokens/s',
      'even from step to step',
      'falls through the run: longer completions, or another process takes the cores',
    ],
  }) as const;

const phases = {
  sampling: 'drawing completions',
  rewarding: 'asking the rewards',
  scoring: 'scoring completions by policy and reference',
  training: 'forward and backward passes and updates',
};

export const timing = metricsOf({
  seconds: [
    'Wall-clock seconds of the step.',
    'seconds',
    'even after the first steps',
    'grows: completions lengthen, or memory is short and the machine swaps',
  ],
  tokens: [
    'Tokens the step was trained on, prompts of a shared row once.',
    'tokens',
    'as many as the rows have',
    'far fewer than expected: rows were cut or dropped while reading',
  ],
  tokens_per_second: [
    'Tokens of the step by its seconds.',
    'tokens/s',
    'even from step to step',
    'falls when more threads than cores are asked for, or the machine is shared',
  ],
  peak_rss_bytes: [
    'Most memory that the process has held so far.',
    'bytes',
    'levels off within the first steps',
    'keeps growing: report it; close to the machine: lower `microBatchTokens`',
  ],
  eval_seconds: [
    'Seconds of an evaluation.',
    'seconds',
    'a few steps long',
    'longer than the steps between two: evaluate less often',
  ],
  ...Object.fromEntries(
    Object.entries(phases).flatMap(([name, what]) => [
      [`${name}_seconds`, phase(what).seconds],
      [`${name}_tokens_per_second`, phase(what).speed],
    ]),
  ),
});
