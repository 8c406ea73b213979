import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { inProcess, type Outcome, type Watching } from './kelpie.js';

/** The shipped film reviews. */
export const reviews = fileURLToPath(new URL('../../../../datasets/film-reviews', import.meta.url));

export const lines = (file: string, count: number) =>
  readFileSync(join(reviews, file), 'utf8').split('\n').slice(0, count);

/** Of a run's folder. */
export const weights = (out: string) => readFileSync(join(out, 'model', 'model.safetensors'));

// biome-ignore lint/suspicious/noExplicitAny: whatever the command prints
export const rowsIn = (text: string): any[] =>
  text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));

/** Flags of a run that is soon over. */
export const small = ['--threads', '1', '--sample-tokens', '8', '--batch-size', '4', '--learning-rate', '1e-2'];

/** A temporary folder with a tiny model's config and some film reviews, and commands that read them. */
export class Workspace {
  readonly root: string;

  constructor(name: string) {
    this.root = mkdtempSync(join(tmpdir(), `kelpie-cli-${name}-`));
    const config = JSON.parse(readFileSync(join(reviews, 'base', 'config.json'), 'utf8')) as Record<string, unknown>;
    const tiny = {
      hidden_size: 16,
      intermediate_size: 24,
      num_hidden_layers: 1,
      num_attention_heads: 2,
      num_key_value_heads: 1,
      head_dim: 8,
    };
    writeFileSync(this.at('config.json'), JSON.stringify({ ...config, ...tiny }));
    writeFileSync(this.at('texts.jsonl'), lines('texts.jsonl', 24).join('\n'));
    writeFileSync(this.at('pairs.jsonl'), lines('pairs.jsonl', 16).join('\n'));
    writeFileSync(this.at('heldout.jsonl'), lines('heldout.jsonl', 6).join('\n'));
  }

  readonly at = (...path: string[]) => join(this.root, ...path);

  /** The command in this process, with what a user would see. The temporary folder is shown as `ROOT`. */
  readonly kelpie = async (argv: readonly string[], watching: Watching = {}): Promise<Outcome> => {
    const outcome = await inProcess(argv, watching);
    const readable = (raw: string) => raw.replaceAll(this.root, 'ROOT').replaceAll(reviews, 'REVIEWS');
    return { ...outcome, out: readable(outcome.out), err: readable(outcome.err) };
  };

  readonly sftArgv = (out: string) => [
    ...['train', 'sft', '--init', this.at('config.json'), '--tokenizer', join(reviews, 'base')],
    ...['--data', this.at('texts.jsonl'), '--out', out],
    ...small,
  ];

  readonly dpoArgv = (out: string) => [
    ...['train', 'dpo', '--model', this.at('base', 'model'), '--data', this.at('pairs.jsonl')],
    ...['--heldout', this.at('heldout.jsonl'), '--out', out],
    ...small,
  ];

  /** Trains the tiny model a little, into `base/model`. */
  readonly trainBase = async (): Promise<void> => {
    const { code, err } = await this.kelpie([...this.sftArgv(this.at('base')), '--max-steps', '3']);
    if (code !== 0) throw new Error(err);
  };
}
