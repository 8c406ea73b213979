import { existsSync } from 'node:fs';
import { isAbsolute, resolve } from 'node:path';
import { messageOf } from '@kelpie/policy';
import { z } from 'zod';
import { type Loaded, loadClassifier } from '../classifier-model.js';
import { badOption, RewardError, rowsFailed } from '../error.js';
import { failureOf, leaf, type Reward, type RewardRow } from '../reward.js';
import { defineSource } from '../source.js';

/**
 * A text classifier that transformers.js runs: a folder with `config.json`, `tokenizer.json` and `onnx/model.onnx`.
 *   logit         of the label
 *   probability   softmax over the labels at the label; the sigmoid of its logit where the model has one label, or is
 *                 `multi_label_classification`
 * A text that is longer than the model takes is an error, unless it may be cut at its end. Runs in the calling thread.
 */
export const classifier = defineSource({
  name: 'classifier',
  summary: 'a transformers.js text classifier: one label, as probability or logit',
  options: {
    model: z.string().min(1).describe('A folder; with `remote`, also a name on the hub.'),
    label: z.string().min(1).describe("Which of the model's labels is the reward."),
    score: z.enum(['probability', 'logit']).default('probability').describe('What of it.'),
    text: z
      .enum(['completion', 'prompt-and-completion'])
      .default('completion')
      .describe('What is judged: the completion alone, or behind its prompt as one text.'),
    tooLong: z.enum(['error', 'cut']).default('error').describe('What becomes of a text that the model cannot take.'),
    maxLength: z.int().min(1).optional().describe("Tokens it takes at most, where the model's files do not say."),
    batchSize: z.int().min(1).default(16).describe('Texts in one run of the model.'),
    dtype: z.string().default('fp32').describe('Which of its ONNX files: fp32, fp16, q8 ...'),
    remote: z.boolean().default(false).describe('Whether it may be fetched from the hub.'),
  },
  async open({ name, model, label, score, text, tooLong, maxLength, batchSize, dtype, remote }): Promise<Reward> {
    const folder = resolve(model);
    const isLocal = existsSync(folder) || isAbsolute(model);
    if (!remote && !existsSync(folder)) throw badOption(name, 'model', 'a folder, or a name with `remote`', model);
    const loaded = await loadClassifier(isLocal ? folder : model, { dtype, remote }).catch((cause: unknown) => {
      throw new RewardError(`reward \`${name}\`: \`${model}\` cannot be opened as a classifier: ${messageOf(cause)}`, {
        code: 'bad-file',
        reward: name,
        cause,
      });
    });
    const column = columnOf(name, label, loaded.labels);
    const limit = maxLength ?? loaded.maxLength;
    const isCut = tooLong === 'cut';
    if (isCut && limit === undefined) throw badOption(name, 'maxLength', 'a number: the model says none', undefined);
    const textOf = (row: RewardRow): string => (text === 'completion' ? row.completion : row.prompt + row.completion);
    return leaf({
      name,
      dispose: () => loaded.dispose(),
      async judge(rows, { signal }) {
        const texts = rows.map(textOf);
        if (limit !== undefined && !isCut) requireShort(name, rows, texts, loaded, limit);
        const rewards: number[] = [];
        for (let first = 0; first < rows.length; first += batchSize) {
          signal.throwIfAborted();
          const cut = isCut && limit !== undefined ? { maxLength: limit } : {};
          const logits = await loaded.logits(texts.slice(first, first + batchSize), cut);
          rewards.push(...logits.map((row) => scores[score](row, column, loaded.isIndependent)));
        }
        return { rewards };
      },
    });
  },
});

type Score = (logits: readonly number[], column: number, isIndependent: boolean) => number;

const scores: Readonly<Record<'probability' | 'logit', Score>> = {
  logit: (logits, column) => logits[column]!,
  probability(logits, column, isIndependent) {
    if (isIndependent) return 1 / (1 + Math.exp(-logits[column]!));
    return 1 / logits.reduce((sum, logit) => sum + Math.exp(logit - logits[column]!), 0);
  },
};

function columnOf(name: string, label: string, labels: readonly string[]): number {
  const column = labels.indexOf(label);
  if (column >= 0) return column;
  const all = labels.map((one) => `\`${one}\``).join(', ');
  throw new RewardError(`reward \`${name}\`: the model has no label \`${label}\`; it has ${all}.`, {
    code: 'unknown-label',
    reward: name,
  });
}

function requireShort(
  name: string,
  rows: readonly RewardRow[],
  texts: readonly string[],
  { tokensOf }: Loaded,
  limit: number,
): void {
  const failures = texts.flatMap((text, at) => {
    const tokens = tokensOf(text);
    if (tokens <= limit) return [];
    return [failureOf(rows[at]!, at, new RangeError(`expected at most ${limit} tokens, got ${tokens}`))];
  });
  if (failures.length > 0) throw rowsFailed(name, failures, rows.length);
}
