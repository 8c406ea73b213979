// The reward model of the film reviews, from its pairs; it starts as the base model.
import { join } from 'node:path';
import { rebuild, reviews } from './rebuild.mjs';

rebuild({
  folder: join(reviews, 'reward'),
  files: ['config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json'],
  objective: 'reward',
  argv: [
    ...['--model', join(reviews, 'base'), '--data', join(reviews, 'pairs.jsonl')],
    ...['--heldout', join(reviews, 'heldout.jsonl'), '--center-coefficient', '0.01'],
    ...['--learning-rate', '1e-3', '--schedule', 'cosine', '--warmup-steps', '10', '--epochs', '3'],
    ...['--seed', '1', '--threads', '2'],
  ],
});
