// The base model of the film reviews, from its config and texts.
import { join } from 'node:path';
import { rebuild, reviews } from './rebuild.mjs';

const folder = join(reviews, 'base');
rebuild({
  folder,
  files: ['model.safetensors'],
  objective: 'sft',
  argv: [
    ...['--init', join(folder, 'config.json'), '--data', join(reviews, 'texts.jsonl')],
    ...['--learning-rate', '4e-3', '--schedule', 'cosine', '--warmup-steps', '30', '--weight-decay', '0.1'],
    ...['--epochs', '6', '--seed', '1', '--threads', '2'],
  ],
});
