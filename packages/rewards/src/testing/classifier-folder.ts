import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Builder, writeModel } from '@kelpie/onnx';

/** The words of the test classifier, each with a logit for every label. A text's logits are the sums over its words. */
export type WordLogits = Readonly<Record<string, readonly number[]>>;

export interface ClassifierFolder {
  readonly labels: readonly string[];
  readonly words: WordLogits;
  readonly config?: Readonly<Record<string, unknown>>;
  /** Tokens that the tokenizer says the model takes. */
  readonly maxLength?: number;
}

/** Writes a bag-of-words classifier as transformers.js loads one. */
export async function writeClassifier(
  folder: string,
  { labels, words, config = {}, maxLength }: ClassifierFolder,
): Promise<void> {
  await mkdir(join(folder, 'onnx'), { recursive: true });
  await writeModel(join(folder, 'onnx/model.onnx'), bagOfWords(labels.length, Object.values(words)));
  const vocabulary = ['[PAD]', '[UNK]', ...Object.keys(words)];
  const files = {
    'config.json': {
      model_type: 'distilbert',
      architectures: ['DistilBertForSequenceClassification'],
      id2label: Object.fromEntries(labels.entries()),
      ...config,
    },
    'tokenizer.json': {
      version: '1.0',
      truncation: null,
      padding: null,
      added_tokens: [0, 1].map((id) => ({
        id,
        content: vocabulary[id],
        single_word: false,
        lstrip: false,
        rstrip: false,
        normalized: false,
        special: true,
      })),
      normalizer: { type: 'Lowercase' },
      pre_tokenizer: { type: 'Whitespace' },
      post_processor: null,
      decoder: null,
      model: {
        type: 'WordLevel',
        vocab: Object.fromEntries(vocabulary.map((word, id) => [word, id])),
        unk_token: '[UNK]',
      },
    },
    'tokenizer_config.json': {
      tokenizer_class: 'PreTrainedTokenizerFast',
      pad_token: '[PAD]',
      unk_token: '[UNK]',
      padding_side: 'right',
      ...(maxLength !== undefined && { model_max_length: maxLength }),
    },
  };
  for (const [name, content] of Object.entries(files)) await writeFile(join(folder, name), JSON.stringify(content));
}

/** logits = Σ_t attention_mask_t table[input_ids_t]; padding has logits of its own, so that a forgotten mask shows. */
function bagOfWords(labels: number, words: readonly (readonly number[])[]) {
  const g = new Builder({ name: 'bag-of-words' });
  const ids = g.input('input_ids', 'int64', ['rows', 'tokens']);
  const mask = g.input('attention_mask', 'int64', ['rows', 'tokens']);
  const rows = [Array<number>(labels).fill(100), Array<number>(labels).fill(0), ...words];
  const table = g.constant('float32', [rows.length, labels], rows.flat());
  const [logits] = g.emit('Gather', [table, ids], { axis: 0 });
  const [weights] = g.emit('Cast', [mask], { to: 1 });
  const [column] = g.emit('Unsqueeze', [weights!, g.ints([2])]);
  const [sum] = g.emit('ReduceSum', [g.mul(logits!, column!), g.ints([1])], { keepdims: 0 });
  g.output('logits', sum!);
  return g.build();
}
