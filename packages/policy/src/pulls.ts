import { KelpieError, pullbackSpent } from './errors.js';
import type { HeadOptions } from './head-passes.js';
import type { Layout } from './layout.js';
import type { Weights } from './parameters.js';
import type { Passes, Variant } from './passes.js';
import { flatten, unpack } from './token-scores.js';
import type { Cotangents, ScoreName, ScoreRequest, TokenScores, Vjp, VjpRequest } from './types.js';

type FlatScores = ReadonlyMap<ScoreName, Float64Array>;
type PullOptions = HeadOptions & { readonly valued: readonly ScoreName[] };

interface Given {
  readonly passes: Passes;
  readonly policy: Variant;
  /** What is added up to. */
  readonly gradients: Weights;
  /** Hidden states and weights of the reference, where one of these scores reads it. */
  referenceOf(names: readonly ScoreName[], layout: Layout): Promise<HeadOptions['reference']>;
  score(request: ScoreRequest): Promise<TokenScores>;
}

/** Gradients of scores, by passes forward and back: apart, or in one run. See `Policy` for the contract of each method. */
export class Pulls {
  /** Whether the gradients are all zeros: nothing was pulled since the last step. */
  fresh = true;
  readonly #given: Given;
  /** How often weights have changed, the policy's or the reference's: a pullback goes on from one state of them. */
  #changes = 0;

  constructor(given: Given) {
    this.#given = given;
  }

  /** From now on the weights are others. */
  changed(): void {
    this.#changes++;
  }

  vjp(request: VjpRequest, layout: Layout): Promise<Vjp> {
    return request.logprobs === undefined
      ? this.#vjpOf(request, layout)
      : this.#vjpLater(request, layout, request.logprobs);
  }

  pull(request: ScoreRequest, layout: Layout, cotangents: Cotangents): Promise<TokenScores> {
    const { passes, referenceOf } = this.#given;
    const atOnce = passes.pullsAtOnce(layout);
    return this.#pull(request, layout, cotangents, { atOnce, referenceOf: () => referenceOf(request.scores, layout) });
  }

  async #vjpOf(request: ScoreRequest, layout: Layout): Promise<Vjp> {
    const { passes, policy, gradients, referenceOf } = this.#given;
    const { heads } = passes;
    const { temperature = 1, scores: names } = request;
    const forward = await passes.forward(layout, policy, { keep: true });
    const kept = heads.keepLogits(layout, names);
    const release = () => {
      forward.release();
      kept?.release();
    };
    const read = async () => {
      const options = { temperature, reference: await referenceOf(names, layout), kept };
      return { options, scored: await heads.score(forward, names, policy.weights, options) };
    };
    const { options, scored } = await read().catch((error) => {
      release();
      throw error;
    });
    const scores = unpack(layout.counts, scored);
    const pull = async (cotangents: Cotangents) => {
      const flat = flatten(layout.counts, names, cotangents);
      if (flat.size === 0) return scores;
      this.fresh = false;
      const { dHidden } = await heads.scoreVjp(forward, flat, policy.weights, gradients, options);
      await passes.backward(forward, policy.weights, dHidden, gradients);
      return scores;
    };
    return this.#once(scores, pull, release);
  }

  /** The reference is scored, and its hidden states are kept; all else waits for the cotangents. */
  async #vjpLater(request: ScoreRequest, layout: Layout, logprobs: Float64Array): Promise<Vjp> {
    const { passes, referenceOf } = this.#given;
    const { temperature = 1, scores: names } = request;
    let scores = knownScores(layout, logprobs);
    let reference = await referenceOf(names, layout);
    if (reference !== undefined && names.includes('referenceLogprobs')) {
      const { hidden, weights } = reference;
      const scored = await passes.heads.score({ layout, hidden }, ['logprobs'], weights, { temperature });
      scores = { ...scores, referenceLogprobs: unpack(layout.counts, scored).logprobs! };
    }
    // Where logits are many, the heads' chunks are as fast as one run and take less memory.
    const atOnce = passes.pullsAtOnce(layout) && layout.rows * layout.tokens <= passes.tokensAtOnce;
    const pull = (cotangents: Cotangents) =>
      this.#pull(request, layout, cotangents, { atOnce, arena: atOnce, referenceOf: async () => reference });
    const release = () => {
      reference = undefined;
    };
    return this.#once(scores, pull, release);
  }

  /** What may be pulled back once, with the weights as they are. */
  #once(scores: TokenScores, pull: (cotangents: Cotangents) => Promise<TokenScores>, release: () => void): Vjp {
    const changes = this.#changes;
    let open = true;
    return {
      scores,
      pullback: async (cotangents) => {
        if (!open) throw pullbackSpent();
        open = false;
        try {
          if (this.#changes !== changes) {
            throw new KelpieError('the weights have changed since the forward pass: take the vjp again', {
              code: 'pullback-stale',
            });
          }
          return await pull(cotangents);
        } finally {
          release();
        }
      },
      release: async () => {
        if (open) release();
        open = false;
      },
    };
  }

  async #pull(
    request: ScoreRequest,
    layout: Layout,
    cotangents: Cotangents,
    {
      atOnce,
      arena = false,
      referenceOf,
    }: { readonly atOnce: boolean; readonly arena?: boolean; referenceOf(): Promise<HeadOptions['reference']> },
  ): Promise<TokenScores> {
    const { score } = this.#given;
    const flat = flatten(layout.counts, request.scores, cotangents);
    if (flat.size === 0) return score(request);
    const { temperature = 1, scores: valued } = request;
    const reference = await referenceOf();
    const options = { temperature, valued, ...(reference && { reference }) };
    const values = await (atOnce
      ? this.#pullAtOnce(layout, flat, { ...options, arena })
      : this.#pullInTurn(layout, flat, options));
    // With tokens banned, what is not finite is scored with care; the gradient is the same.
    const finite = [...values.values()].every((of) => of.every(Number.isFinite));
    return finite ? unpack(layout.counts, values) : score(request);
  }

  #pullAtOnce(
    layout: Layout,
    cotangents: FlatScores,
    options: PullOptions & { readonly arena: boolean },
  ): Promise<FlatScores> {
    const { passes, policy, gradients } = this.#given;
    const { fresh } = this;
    this.fresh = false;
    return passes.pull(layout, cotangents, policy.weights, gradients, { ...options, fresh });
  }

  async #pullInTurn(layout: Layout, cotangents: FlatScores, options: PullOptions): Promise<FlatScores> {
    const { passes, policy, gradients } = this.#given;
    const { weights } = policy;
    const forward = await passes.forward(layout, policy, { keep: true });
    try {
      this.fresh = false;
      const { dHidden, values } = await passes.heads.scoreVjp(forward, cotangents, weights, gradients, options);
      await passes.backward(forward, weights, dHidden, gradients);
      return values;
    } finally {
      forward.release();
    }
  }
}

/** The log-probabilities [rows, tokens] as scores; what stands behind a row's completion is 0. */
function knownScores({ counts }: Layout, given: Float64Array): TokenScores {
  const grid = unpack(counts, new Map());
  const { rows, tokens, completionMask } = grid;
  const refuse = (what: string) => {
    throw new KelpieError(`the known log-probabilities ${what}`, { code: 'known-logprobs' });
  };
  if (given.length !== rows * tokens) refuse(`have ${given.length} entries, the completions ${rows} x ${tokens}`);
  const logprobs = given.map((logprob, at) => (completionMask[at] ? logprob : 0));
  const bad = logprobs.findIndex((logprob) => !Number.isFinite(logprob));
  if (bad >= 0) refuse(`hold ${logprobs[bad]} in row ${Math.floor(bad / tokens)}, token ${bad % tokens}`);
  return { ...grid, logprobs };
}
