import { metricsOf } from './metric.js';

export const run = metricsOf({
  step: [
    'Updates done. Step 0 is the start, before any.',
    'updates',
    'counts up without gaps, through resumes too',
    'a gap or a repeated number: the log is of more than one run',
  ],
  epoch: ['Passes over the rows or prompts, with a fraction.', 'passes', 'grows evenly', 'none of its own'],
  loss: [
    'What the step descends, over the whole step, micro-batches joined.',
    "the objective's own",
    'preferences: falls from the known start (log 2 for DPO) and levels off; rollouts: stays near 0, its size says little',
    'not a number, or a sudden jump: lower the learning rate; falls while held-out loss rises: overfitting, stop earlier',
  ],
  grad_norm: [
    'L2 norm of the gradient over all that is trained, before clipping.',
    'loss per unit of weight',
    'of one order of magnitude through the run, now and then above `maxGradNorm`',
    'always far above `maxGradNorm`: every step is clipped, lower the learning rate; 0: nothing is learnt, look at masks and rewards',
  ],
  learning_rate: [
    'The rate that the step used, by schedule and warm-up.',
    'weight per unit of moment',
    'rises through the warm-up, then as the schedule says',
    '0 to the end: the schedule is shorter than the run',
  ],
  updates: [
    'Updates made from the rollouts of one step: passes times mini-batches.',
    'updates',
    '`rolloutEpochs` times `miniBatches`',
    'fewer: completions were dropped, so that a mini-batch was empty',
  ],
  entropy: [
    'Entropy of the next-token distribution, mean over scored tokens.',
    'nats a token',
    'falls slowly from where it began',
    'collapses towards 0: completions become one completion, raise the penalty or the temperature; rises: the policy forgets how to write',
  ],
  'critic/grad_norm': [
    'L2 norm of the gradient of a critic that stands apart, before clipping.',
    'loss per unit of weight',
    'large at first, then falling as values come to fit',
    'grows: the critic diverges, lower `criticLearningRate`',
  ],
});
