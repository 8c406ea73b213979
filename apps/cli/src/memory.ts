import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type Plan, plan, treeTokens } from '@kelpie/data';
import { LOGITS_AT_ONCE, rowsOfChunk, scoredTokens, type TokenTree } from '@kelpie/policy';
import type { TrainOptions } from '@kelpie/runner';

/** Sizes of a model, as its config.json gives them. */
export interface ModelShape {
  readonly hidden: number;
  readonly intermediate: number;
  /** Values of the MLP's width that a token has at once: more where the activation is several operators. */
  readonly wide: number;
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly vocabulary: number;
}

/** What of the batches that are trained on memory depends on: the largest there is of each. */
export interface BatchShape {
  /** Places for tokens, padding included. */
  readonly slots: number;
  /** Sum over rows of their length squared: entries of an attention matrix, a head. */
  readonly squares: number;
  /** Tokens whose scores count. */
  readonly scored: number;
}

export interface MemoryOptions {
  readonly shape: ModelShape;
  readonly parameters: number;
  readonly trainedParameters: number;
  /** Whether what is trained is also kept as it was. */
  readonly copiesReference: boolean;
  /** What is held besides: a decoder's cache, a critic. Default: nothing. */
  readonly others?: Memory['parts'];
  readonly training: BatchShape;
  /** Tokens of a batch that is scored at most: in training, in evaluations, by the reference. */
  readonly scored: number;
  /**
   * What becomes of a batch's logits: they wait for the gradients (default), or these are taken in the run that scores, or
   * there are none, with a scalar head alone.
   */
  readonly logits?: 'waiting' | 'at once' | 'none';
}

/** An estimate of the peak of resident memory, by what takes it. */
export interface Memory {
  readonly parts: readonly { readonly label: string; readonly bytes: number }[];
  readonly bytes: number;
}

/** The shape in a model's folder or config file, which was opened before: every key is of its type. */
export async function modelShape(place: string): Promise<ModelShape> {
  const isFolder = (await stat(place)).isDirectory();
  const file = isFolder ? join(place, 'config.json') : place;
  const raw = JSON.parse((await readFile(file, 'utf8')).replace(/^\ufeff/, '')) as Record<
    string,
    number | null | undefined
  >;
  const gpt2 = (raw as { model_type?: unknown }).model_type === 'gpt2';
  const of = (preset: number, ...names: string[]) =>
    names.map((name) => raw[name]).find((value) => value != null) ?? preset;
  const hidden = of(gpt2 ? 768 : 4096, 'n_embd', 'hidden_size');
  const heads = of(gpt2 ? 12 : 32, 'n_head', 'num_attention_heads');
  return {
    hidden,
    intermediate: of(gpt2 ? 4 * hidden : 11008, 'n_inner', 'intermediate_size'),
    wide: !gpt2 ? 2 : /new|tanh|fast/.test(String(raw.activation_function ?? 'gelu_new')) ? 4 : 2,
    layers: of(gpt2 ? 12 : 32, 'n_layer', 'num_hidden_layers'),
    heads,
    kvHeads: gpt2 ? heads : of(heads, 'num_key_value_heads'),
    headDim: gpt2 ? hidden / heads : of(hidden / heads, 'head_dim'),
    vocabulary: of(gpt2 ? 50257 : 32000, 'vocab_size'),
  };
}

/** Micro-batches whose sizes are looked at, at most: a pass over most data. */
const LOOKED_AT = 4096;

type Caps = Pick<TrainOptions, 'microBatchRows'> & { readonly microBatchTokens: number };
type Trees = readonly { readonly tree: TokenTree }[];

/** The largest micro-batches of a run. */
export function batchesOf(
  planned: Plan,
  run: {
    readonly steps: number;
    readonly examples: Trees;
    readonly heldout: Trees;
    readonly options: Caps;
    /** Whether the reference scores all rows before the first step. */
    readonly scoresReference: boolean;
  },
): Pick<MemoryOptions, 'training' | 'scored'> {
  const { steps, examples, heldout, options, scoresReference } = run;
  const training: BatchShape[] = [];
  for (let step = 0; step < Math.min(steps, planned.stepsPerEpoch) && training.length < LOOKED_AT; step++)
    training.push(...planned.at(step).microBatches.map((indices) => laidOut(indices.map((i) => examples[i]!.tree))));
  const others = [...wholePasses(heldout, options), ...(scoresReference ? wholePasses(examples, options) : [])];
  return {
    training: { slots: most(training, 'slots'), squares: most(training, 'squares'), scored: most(training, 'scored') },
    scored: most([...training, ...others], 'scored'),
  };
}

/** Rows that are scored all at once, sorted by length. */
function wholePasses(examples: Trees, { microBatchTokens, microBatchRows }: Caps): BatchShape[] {
  if (examples.length === 0) return [];
  const caps = { microBatchTokens, ...(microBatchRows !== undefined && { microBatchRows }) };
  const { microBatches } = plan({ examples, rowsPerStep: examples.length, shuffle: false, ...caps }).at(0);
  return microBatches.map((indices) => laidOut(indices.map((i) => examples[i]!.tree)));
}

/** Short trees share a row, first fit by falling length; a tree is one row, which the policy cuts where that is cheaper. */
function laidOut(trees: readonly TokenTree[]): BatchShape {
  const lengths = trees.map(treeTokens).sort((a, b) => b - a);
  const width = lengths[0] ?? 0;
  const rows: number[] = [];
  for (const length of lengths) {
    const row = rows.findIndex((used) => used + length <= width);
    if (row < 0) rows.push(length);
    else rows[row] = rows[row]! + length;
  }
  const scored = trees.reduce((n, tree) => tree.branches.reduce((m, branch) => m + scoredTokens(tree, branch), n), 0);
  return { slots: rows.length * width, squares: rows.length * width * width, scored };
}

const most = (batches: readonly BatchShape[], key: keyof BatchShape) =>
  batches.reduce((n, batch) => Math.max(n, batch[key]), 0);

const FLOAT = 4;
const MB = 1e6;

/**
 * How often each thing is in memory at the peak, fitted to the peak resident sizes of 30 runs with 0.3 to 42 million
 * parameters (llama, and one GPT-2), vocabularies of 490 to 32,064, micro-batches of 230 to 4,100 tokens, full and LoRA,
 * float32, one and two threads. Fitted again since outputs are not copied, to the 19 runs of the test: -23 to +20 %.
 */
const times = {
  /** Node, ONNX Runtime, the command, tokenizer and rows. */
  baseline: 280 * MB,
  /** Results of products, kept by the forward pass for the backward pass. */
  kept: 1.2,
  /** The head's gradient while it is computed: as large as a whole small model where the vocabulary is large. */
  head: 2,
  /** Attention matrices of every layer, kept and on their way back. */
  attention: 1.2,
  /** Logits, their softmax and their gradients, of a batch that is scored and differentiated in one run. */
  logits: 4.2,
  /** Of a chunk: the same, the reference's besides, and what the heap keeps of chunks before. */
  chunk: 12,
  /** The same, of more logits than are kept: chunks follow each other, and peaks of one command lie up to 1.4 times apart. */
  chunkAlone: 18,
} as const;

/** What a run takes at its peak, within a quarter. */
export function memoryOf(options: MemoryOptions): Memory {
  const { shape, parameters, trainedParameters, copiesReference, others = [], training, logits } = options;
  const { hidden, intermediate, wide, layers, heads, kvHeads, headDim, vocabulary } = shape;
  const trained = FLOAT * trainedParameters;
  const head = logits === 'none' ? 0 : Math.min(trained, FLOAT * vocabulary * hidden);
  // Of a token in a layer: queries, keys, values, their mixture, both outputs, and what the MLP makes.
  const inLayer = 2 * (heads + kvHeads) * headDim + 2 * hidden + wide * intermediate;
  const parts = [
    { label: 'process', bytes: times.baseline },
    { label: 'weights', bytes: FLOAT * parameters },
    ...(copiesReference ? [{ label: 'reference', bytes: trained }] : []),
    { label: 'gradients', bytes: trained + times.head * head },
    { label: "AdamW's moments", bytes: 2 * trained },
    { label: 'kept activations', bytes: times.kept * FLOAT * layers * inLayer * training.slots },
    { label: 'attention', bytes: times.attention * FLOAT * layers * heads * training.squares },
    { label: 'logits', bytes: FLOAT * logitsOf(options) },
    ...others,
  ];
  return { parts, bytes: parts.reduce((sum, { bytes }) => sum + bytes, 0) };
}

/** Numbers of [scored, vocabulary] that are in memory. */
function logitsOf({ shape: { vocabulary }, training, scored, logits = 'waiting' }: MemoryOptions): number {
  if (logits === 'none') return 0;
  const count = vocabulary * training.scored;
  const chunk = vocabulary * Math.min(rowsOfChunk(vocabulary), scored);
  if (count > LOGITS_AT_ONCE) return times.chunkAlone * chunk;
  const inChunks = times.chunk * chunk;
  return logits === 'at once' ? Math.max(times.logits * count, inChunks) : count + inChunks;
}

/** The total, and its parts by size. */
export function memoryText({ parts, bytes }: Memory): string {
  const inMb = (n: number) => (n >= 1e9 ? `${(n / 1e9).toFixed(2)} GB` : `${Math.round(n / MB)} MB`);
  const largest = parts.toSorted((a, b) => b.bytes - a.bytes).map((part) => `${part.label} ${inMb(part.bytes)}`);
  return `about ${inMb(bytes)} at the peak: ${largest.join(', ')}`;
}
