import type { TokenTree } from './tree.js';

/**
 * Numbers a policy gives per scored token. Units: nats.
 *   logprobs        log-probability of the realised token
 *   entropy         of the next-token distribution
 *   logSumSquares   log Σ p², the log of the probability that two draws agree
 *   values          of the scalar head on the last hidden state before the token, in units of reward
 *   referenceLogprobs   log-probability of the realised token under the reference, beside scores that read it anyway
 */
export type ScoreName = 'logprobs' | 'entropy' | 'logSumSquares' | 'values' | 'referenceLogprobs' | DivergenceName;

/**
 * Divergences of the policy p from the reference q, exact, over the whole vocabulary. Formula and gradient stand in the
 * file of the name in `scores/`.
 *   forwardKl          KL(q ‖ p)
 *   reverseKl          KL(p ‖ q)
 *   js                 KL(p ‖ m) + KL(q ‖ m), m = (p + q)/2
 *   pearsonChi2        χ²(p ‖ q)
 *   halfChi2PlusKl     χ²(p ‖ q)/2 + KL(p ‖ q)
 *   squaredHellinger   Σ (√p - √q)²
 *   neymanChi2         χ²(q ‖ p)
 *   totalVariation     Σ |p - q|/2
 *   alpha(a)           (1 - Σ p^(1-a) q^a) / (a (1-a)): KL(p ‖ q) towards a = 0, KL(q ‖ p) towards 1
 *   jsd(b)             b KL(q ‖ m) + (1-b) KL(p ‖ m), m = (1-b) p + b q
 *   skewForwardKl(s)   KL(q ‖ s q + (1-s) p)
 *   skewReverseKl(s)   KL(p ‖ s p + (1-s) q)
 */
export type DivergenceName =
  | 'forwardKl'
  | 'reverseKl'
  | 'js'
  | 'pearsonChi2'
  | 'halfChi2PlusKl'
  | 'squaredHellinger'
  | 'neymanChi2'
  | 'totalVariation'
  | NumberedName;

/** Divergences with a number between 0 and 1, written in brackets: `alpha(0.3)`. */
export type ScoreFamilyName = 'alpha' | 'jsd' | 'skewForwardKl' | 'skewReverseKl';
type NumberedName = `${ScoreFamilyName}(${number})`;

/** By score, each [rows, tokens]. */
export type ScoreTable = { readonly [Name in Exclude<ScoreName, NumberedName>]?: Float64Array } & {
  readonly [Name in NumberedName]: Float64Array;
};

/**
 * Scores of the completions of a batch, unpacked from trees. Row order: trees in order, branches in order within a tree.
 * Every array is [rows, tokens], row-major, left-aligned (a completion's first scored token is column 0); columns behind
 * a row's completion hold 0 and completionMask 0.
 */
export interface TokenScores extends ScoreTable {
  readonly rows: number;
  readonly tokens: number;
  /** [rows, tokens]: 1 on completion tokens, the end token included. */
  readonly completionMask: Uint8Array;
}

/** d loss / d score, each [rows, tokens] like the scores; what is absent is zero. */
export type Cotangents = ScoreTable;

export interface ScoreRequest {
  readonly trees: readonly TokenTree[];
  readonly scores: readonly ScoreName[];
  /** Divides the logits; 1 when absent. */
  readonly temperature?: number;
}

/** Cotangents that are known before the scores are: of a loss that is linear in them. */
export interface PullRequest extends ScoreRequest {
  readonly cotangents: Cotangents;
}

export interface VjpRequest extends ScoreRequest {
  /**
   * [rows, tokens]: the policy's log-probabilities at the temperature, known beforehand, as its own decoder knows what it
   * drew. Forward pass, heads and backward pass then wait for the cotangents, and are one run for up to
   * `PolicyInfo.tokensAtOnce` tokens where each source has one target.
   */
  readonly logprobs?: Float64Array;
}

export interface Vjp {
  /** Where log-probabilities were given, these, and of what was asked for `referenceLogprobs`. */
  readonly scores: TokenScores;
  /**
   * Adds the gradients of this batch to the accumulated ones; all scores that were asked for come back, as the passes took
   * them. To be called at most once, and before any weights change.
   */
  pullback(cotangents: Cotangents): Promise<TokenScores>;
  /** Drops what the forward pass kept, when no pullback will come. */
  release(): Promise<void>;
}

export interface AdamWOptions {
  /** Default 0.9, 0.999. */
  readonly betas?: readonly [number, number];
  /** Default 1e-8. */
  readonly eps?: number;
  /** Decoupled; times the learning rate. Default 0. */
  readonly weightDecay?: number;
  /** Which tensors decay. `matrices` (default) spares norms and biases; `all`; or a predicate's list of names. */
  readonly decay?: 'matrices' | 'all' | readonly string[];
  /** Global L2 norm to clip to before the update, factor maxGradNorm / (norm + 1e-6), at most 1; 0 = none. Default 1. */
  readonly maxGradNorm?: number;
}

export interface StepReport {
  /** L2 norm over all trained tensors, before clipping. */
  readonly gradNorm: number;
}

export interface SampleRequest {
  /** Prompts as ids. */
  readonly prompts: readonly (readonly number[])[];
  /** Completions of each prompt; they share its prefill. Default 1. */
  readonly completions?: number;
  readonly maxNewTokens: number;
  /** 0 = greedy. Default 1. */
  readonly temperature?: number;
  readonly topK?: number;
  readonly topP?: number;
  readonly minP?: number;
  /** Ids that end a completion; the end token stays in it. */
  readonly stop?: readonly number[];
  readonly seed?: number;
  /** Which model draws. Default `policy`. */
  readonly of?: 'policy' | 'reference';
  /** Completions decoded side by side, at most; the others wait for a place. What is sampled is the same. Default 64. */
  readonly rows?: number;
}

export interface SampleOptions {
  /** Heeded between two calls of `onToken`, and else after the run that decodes up to eight tokens of each row. */
  readonly signal?: AbortSignal;
  /** Called with every token, in the order in which they are chosen; of each row up to eight at once. */
  readonly onToken?: (token: SampledToken) => void;
}

export interface SampledToken {
  readonly prompt: number;
  /** Its number among the prompt's completions. */
  readonly completion: number;
  readonly id: number;
  readonly logprob: number;
}

export interface Completion {
  readonly prompt: number;
  readonly ids: number[];
  /** [ids]: log-probability of each sampled token under the distribution sampled from at temperature 1, untruncated. */
  readonly logprobs: Float64Array;
  /**
   * [ids]: log-probability of each token under the distribution it was drawn from, temperature and truncation included.
   * Absent where that is the one of `logprobs`, and of greedy completions.
   */
  readonly drawnLogprobs?: Float64Array;
  readonly ended: boolean;
}

export interface LoraOptions {
  readonly rank: number;
  readonly alpha: number;
  /** alpha / sqrt(rank) instead of alpha / rank. */
  readonly rslora?: boolean;
  /** DoRA: magnitudes of the adapted rows are trained apart from their directions. */
  readonly dora?: boolean;
  /** Module name endings (`q_proj`), or `all-linear` (every linear layer but the head). */
  readonly targetModules: readonly string[] | 'all-linear';
  readonly seed?: number;
}

export interface OpenOptions {
  /** A folder with config.json, model.safetensors (or shards) and, for text, tokenizer.json. */
  readonly model?: string;
  /** Instead of `model`: a config.json to start from, with seeded random weights. */
  readonly init?: { readonly config: string; readonly seed: number };
  /**
   * A scalar head over the last hidden states, `score.weight` [1, hidden], which gives the score `values`: `alone`, in
   * place of the language model's head, or `beside` it: a policy with a critic. A fresh one beside it is 0, and so is
   * every value. Default: `alone` for a sequence classifier's folder, else none.
   */
  readonly scalarHead?: 'alone' | 'beside';
  /** A safetensors file to take `score.weight` from. Default: the folder's own; where it has none, a fresh head. */
  readonly scalarHeadFile?: string;
  /** Of a fresh head alone. Default 0. */
  readonly scalarHeadSeed?: number;
  /** Deviation of a fresh head alone; 0: every value starts at 0, as a critic's may. Default: the config's own. */
  readonly scalarHeadStd?: number;
  readonly lora?: LoraOptions;
  /** A PEFT folder to continue from. */
  readonly adapter?: string;
  /** Graph arithmetic; float64 is for checks. Default float32. */
  readonly dtype?: 'float32' | 'float64';
  /** Default: the machine's cores. */
  readonly threads?: number;
  /**
   * What the forward pass keeps for the backward pass: results of matrix `products` (default), or `nothing`, which takes
   * less memory and, on larger models, a sixth more time.
   */
  readonly keep?: 'products' | 'nothing';
  /**
   * Keeps the start as a reference to be scored after updates: a copy of what is trained, or, for a fresh LoRA, the base
   * without its adapter (no copy). `moving`: always a copy, so that `updateReference` can move it. Default false.
   */
  readonly keepReference?: boolean | 'moving';
  /**
   * Instead of the start: another model folder as the reference, of the same arithmetic and tokens with other weights; or
   * several, whose weighted mean it is (SALSA, arXiv:2411.01798).
   */
  readonly reference?: string | readonly SoupPart[];
}

/** A model of a soup. The weights of a soup sum to 1. */
export interface SoupPart {
  /** A model folder. */
  readonly model: string;
  readonly weight: number;
}

export interface SaveOptions {
  /** LoRA: write the base with the adapter merged in, instead of a PEFT folder. */
  readonly merge?: boolean;
  /** The folder whose tokenizer files are copied along. Default: the model's own. */
  readonly tokenizer?: string;
  /** Written as `pad_token_id` of config.json: transformers looks for a classifier's last token by it. */
  readonly padTokenId?: number;
}

/**
 * A language model that can be scored, sampled and differentiated. One owner holds the weights, the optimizer's state
 * and every session; this interface is what others see of it, in the same thread or through a worker.
 */
export interface Policy {
  readonly info: PolicyInfo;
  score(request: ScoreRequest & { readonly of?: 'policy' | 'reference' }): Promise<TokenScores>;
  vjp(request: VjpRequest): Promise<Vjp>;
  /**
   * `vjp` and its pullback at once. Forward, head and backward are one run where all logits fit into memory and each
   * source has one target.
   */
  pull(request: PullRequest): Promise<TokenScores>;
  /** Clips, updates the weights in place with AdamW, clears the gradients. */
  step(learningRate: number): Promise<StepReport>;
  sample(request: SampleRequest, options?: SampleOptions): Promise<Completion[]>;
  /**
   * Moves the kept reference towards the policy, tensor by tensor of what is trained:
   *   reference <- mixture policy + (1 - mixture) reference,   0 < mixture <= 1; 1 makes it the policy as it stands
   * Gorbatovski et al. 2024 (TR-DPO), arXiv:2404.09656. A state that is saved later holds the reference too.
   */
  updateReference(mixture: number): Promise<void>;
  /** Accumulated gradients by checkpoint name, as copies. */
  gradients(): Promise<Map<string, { shape: readonly number[]; data: Float64Array }>>;
  /** Configures AdamW; resets its state. */
  optimizer(options: AdamWOptions): Promise<void>;
  /**
   * Writes model.safetensors, config.json and tokenizer files (or a PEFT folder, for LoRA) into `folder`, whole or not
   * at all. A scalar head beside the language model's is not among them: `saveState` keeps it.
   */
  save(folder: string, options?: SaveOptions): Promise<void>;
  /**
   * Trained tensors, optimizer moments, step count, and the reference if it has moved: everything that `restoreState`
   * needs to go on bit for bit.
   */
  saveState(file: string): Promise<void>;
  restoreState(file: string): Promise<void>;
  dispose(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface PolicyInfo {
  readonly modelType: string;
  readonly parameters: number;
  readonly trainedParameters: number;
  readonly vocabularySize: number;
  readonly contextLength: number;
  /** sha256 over config, arithmetic, every weight, and the adapter's places and scalings. */
  readonly hash: string;
  /** The same of the reference, where one was named; else `hash`. */
  readonly referenceHash: string;
  /** Where it has a scalar head, which gives the score `values`. */
  readonly scalarHead?: 'alone' | 'beside';
  /** Whether `updateReference` has anything to move. */
  readonly referenceMoves: boolean;
  /**
   * Tokens of rows that a vjp of known log-probabilities takes forward and back in one run, at most; with more, passes are
   * apart, and nothing is gained by knowing. 0 or absent: it takes none so (`keep: 'nothing'`), or the decoder's
   * log-probabilities are not the scorer's, since rotary angles change as a sequence grows.
   */
  readonly tokensAtOnce?: number;
  /** What was read and left aside, in sentences: keys without effect here, dropout that is not applied. */
  readonly warnings: readonly string[];
  readonly threads: number;
}
