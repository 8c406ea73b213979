/**
 * The word-level tokenizer of the film reviews as Hugging Face files.
 *
 * The JavaScript library has no `WordLevel` model. `WordPiece` without one continuation token is the same thing: a word
 * that is in the vocabulary is its token, any other word is one `<unk>`, in the JavaScript and in the Rust library alike
 * (`BPE` without merges would give one `<unk>` a letter). The split keeps one space with the word that follows, and the
 * byte-level step writes that space as `Ġ`, so decoding is joining and no token crosses from prompt to completion.
 */
import { piece, pieces } from './grammar.js';

export const contextLength = 128;

const specials = ['<unk>', '<bos>', '<eos>', '<pad>'] as const;
export const specialIds = { unk: 0, bos: 1, eos: 2, pad: 3 } as const;

/** What is written into `tokenizer.json`: every piece that occurs in the texts, in code point order. */
export function vocabularyOf(texts: Iterable<string>): ReadonlyMap<string, number> {
  const found = new Set<string>();
  for (const text of texts) for (const word of pieces(text)) found.add(word.replace(' ', 'Ġ'));
  return new Map([...specials, ...[...found].sort()].map((token, id) => [token, id]));
}

export function tokenizerFile(vocabulary: ReadonlyMap<string, number>): object {
  const bos = { SpecialToken: { id: '<bos>', type_id: 0 } };
  const sequence = (id: 'A' | 'B', type_id: number) => ({ Sequence: { id, type_id } });
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: specials.map((content, id) => ({
      id,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: null,
    pre_tokenizer: {
      type: 'Sequence',
      pretokenizers: [
        { type: 'Split', pattern: { Regex: piece.source }, behavior: 'Isolated', invert: false },
        { type: 'ByteLevel', add_prefix_space: false, trim_offsets: false, use_regex: false },
      ],
    },
    post_processor: {
      type: 'TemplateProcessing',
      single: [bos, sequence('A', 0)],
      pair: [bos, sequence('A', 0), sequence('B', 1)],
      special_tokens: { '<bos>': { id: '<bos>', ids: [specialIds.bos], tokens: ['<bos>'] } },
    },
    decoder: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: false, use_regex: false },
    model: {
      type: 'WordPiece',
      unk_token: '<unk>',
      continuing_subword_prefix: '##',
      max_input_chars_per_word: 100,
      vocab: Object.fromEntries(vocabulary),
    },
  };
}

export const tokenizerConfig = {
  tokenizer_class: 'PreTrainedTokenizerFast',
  bos_token: '<bos>',
  eos_token: '<eos>',
  unk_token: '<unk>',
  pad_token: '<pad>',
  model_max_length: contextLength,
  padding_side: 'right',
  clean_up_tokenization_spaces: false,
};

export const modelConfig = {
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  vocab_size: 0,
  hidden_size: 128,
  intermediate_size: 344,
  num_hidden_layers: 4,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  head_dim: 32,
  max_position_embeddings: contextLength,
  rope_theta: 10000,
  rms_norm_eps: 1e-5,
  hidden_act: 'silu',
  attention_bias: false,
  mlp_bias: false,
  attention_dropout: 0,
  initializer_range: 0.02,
  tie_word_embeddings: true,
  bos_token_id: specialIds.bos,
  eos_token_id: specialIds.eos,
  pad_token_id: specialIds.pad,
  torch_dtype: 'float32',
  use_cache: true,
};

/** Weights of the Llama that a config describes, the tied embedding counted once. */
export function parameterCount(config: typeof modelConfig): number {
  const { hidden_size: hidden, intermediate_size: inner, num_attention_heads, num_key_value_heads, head_dim } = config;
  const attention = 2 * hidden * head_dim * (num_attention_heads + num_key_value_heads);
  const layer = attention + 3 * hidden * inner + 2 * hidden;
  return config.vocab_size * hidden + config.num_hidden_layers * layer + hidden;
}
