import { availableParallelism } from 'node:os';
import type { Model } from './architecture.js';
import { checkOptimizer, checkSampling, checkScoring, checkTrees, requireLanguageHead } from './checks.js';
import { sample } from './decode.js';
import { KelpieError } from './errors.js';
import { mix, movingOf, variantOf } from './kept-reference.js';
import { type Layout, layOut } from './layout.js';
import { type OpenedModel, openModel, saveModel } from './model-folder.js';
import { decaying } from './optimizers/decaying.js';
import { TrainingMemory } from './optimizers/training-memory.js';
import type { FloatArray, Weights } from './parameters.js';
import { Passes, type Variant } from './passes.js';
import { Pulls } from './pulls.js';
import { scoreOf } from './score.js';
import { readState, writeState } from './state.js';
import { unpack } from './token-scores.js';
import type {
  AdamWOptions,
  Completion,
  OpenOptions,
  Policy,
  PolicyInfo,
  PullRequest,
  SampleOptions,
  SampleRequest,
  SaveOptions,
  ScoreName,
  ScoreRequest,
  StepReport,
  TokenScores,
  Vjp,
  VjpRequest,
} from './types.js';
import { hashWeights } from './weights.js';

interface Optimizer {
  readonly options: Required<AdamWOptions>;
  readonly decays: ReadonlySet<string>;
  stepsDone: number;
}

/** The one owner of a policy's weights, optimizer state and sessions. See `Policy` for the contract of each method. */
export class Engine implements Policy {
  readonly info: PolicyInfo;
  readonly #opened: OpenedModel;
  readonly #model: Model;
  readonly #passes: Passes;
  readonly #dtype: 'float32' | 'float64';
  readonly #reference: Variant | undefined;
  readonly #training: TrainingMemory;
  readonly #pulls: Pulls;
  /** What `updateReference` moves, if the reference can move. */
  readonly #moving: Weights | undefined;
  #moved = false;
  #optimizer: Optimizer | undefined;
  #updated = false;

  static async open(options: OpenOptions): Promise<Engine> {
    const dtype = options.dtype ?? 'float32';
    const engine = new Engine(await openModel(options, dtype), options, dtype);
    await engine.#updateNorms();
    return engine;
  }

  private constructor(
    opened: OpenedModel,
    { threads = availableParallelism(), keepReference = false, keep = 'products' }: OpenOptions,
    dtype: 'float32' | 'float64',
  ) {
    this.#opened = opened;
    this.#model = opened.model;
    this.#dtype = dtype;
    this.#passes = new Passes({
      model: opened.model,
      dtype,
      lora: opened.lora,
      trained: opened.trained,
      threads,
      keep,
    });
    this.#training = new TrainingMemory(opened.weights, opened.trained, dtype);
    this.#moving = movingOf(opened, keepReference);
    this.#reference = variantOf(opened, keepReference, this.#moving);
    this.#pulls = new Pulls({
      passes: this.#passes,
      policy: this.#policy,
      gradients: this.#training.gradients,
      referenceOf: (names, layout) => this.#referenceOf(names, layout),
      score: (request) => this.score(request),
    });
    const count = (names: Iterable<string>) =>
      [...names].reduce((n, name) => n + opened.weights.get(name)!.data.length, 0);
    const arithmetic = `${opened.modelType}/${dtype}/${JSON.stringify(opened.config)}`;
    const hash = hashWeights(opened.weights, `${arithmetic}/${JSON.stringify(opened.lora)}`);
    this.info = {
      modelType: opened.modelType,
      parameters: count(opened.model.parameters.map(({ name }) => name)),
      trainedParameters: count(opened.trained),
      vocabularySize: opened.model.dimensions.vocabularySize,
      contextLength: opened.model.dimensions.contextLength,
      ...(opened.model.scalarHead !== undefined && {
        scalarHead: opened.model.languageHead === false ? ('alone' as const) : ('beside' as const),
      }),
      hash,
      referenceHash: opened.reference === undefined ? hash : hashWeights(opened.reference, arithmetic),
      referenceMoves: this.#moving !== undefined,
      tokensAtOnce: opened.model.rotary?.varies ? 0 : this.#passes.tokensAtOnce,
      warnings: warningsOf(opened),
      threads,
    };
  }

  get #policy(): Variant {
    return { weights: this.#opened.weights, adapter: true };
  }

  async score(request: ScoreRequest & { readonly of?: 'policy' | 'reference' }): Promise<TokenScores> {
    checkScoring(request, this.#model);
    const layout = layOut(request.trees, this.#model);
    const variant = request.of === 'reference' ? this.#referenceVariant() : this.#policy;
    const forward = await this.#passes.forward(layout, variant);
    const reference = await this.#referenceOf(request.scores, layout);
    const { temperature = 1 } = request;
    return unpack(
      layout.counts,
      await this.#passes.heads.score(forward, request.scores, variant.weights, { temperature, reference }),
    );
  }

  async vjp(request: VjpRequest): Promise<Vjp> {
    checkScoring(request, this.#model);
    return this.#pulls.vjp(request, layOut(request.trees, this.#model));
  }

  async pull({ cotangents, ...request }: PullRequest): Promise<TokenScores> {
    checkScoring(request, this.#model);
    return this.#pulls.pull(request, layOut(request.trees, this.#model), cotangents);
  }

  /** Logits behind every token of one sequence, [ids, vocabulary]: whole distributions, for checks and for looking at. */
  async logits(
    ids: readonly number[],
    { of = 'policy' }: { readonly of?: 'policy' | 'reference' } = {},
  ): Promise<FloatArray> {
    checkTrees(
      [{ trunk: [], branches: [{ ids, scoreFrom: ids.length }] }],
      this.#model,
      this.#model.dimensions.contextLength,
    );
    // A token behind the end, which is predicted and takes no slot, leaves a slot to every one of these.
    const tree = { trunk: [], branches: [{ ids: [...ids, 0], scoreFrom: ids.length }] };
    const layout = { ...layOut([tree], this.#model, [ids.length]), sources: Int32Array.from(ids.keys()) };
    const variant = of === 'reference' ? this.#referenceVariant() : this.#policy;
    return this.#passes.logits(await this.#passes.forward(layout, variant), variant.weights);
  }

  async optimizer(options: AdamWOptions): Promise<void> {
    const full = {
      betas: [0.9, 0.999] as const,
      eps: 1e-8,
      weightDecay: 0,
      decay: 'matrices' as const,
      maxGradNorm: 1,
      ...options,
    };
    checkOptimizer(full, this.#dtype);
    const decays = decaying(full.decay, this.#opened);
    if (this.#optimizer !== undefined) clear(this.#training.m, this.#training.v);
    this.#optimizer = { options: full, decays, stepsDone: 0 };
  }

  async step(learningRate: number): Promise<StepReport> {
    if (this.#optimizer === undefined) await this.optimizer({});
    const optimizer = this.#optimizer!;
    const { maxGradNorm, ...options } = optimizer.options;
    const squares = this.#training.sumsOfSquares();
    const gradNorm = Math.sqrt(squares.reduce((a, b) => a + b, 0));
    if (!Number.isFinite(gradNorm)) {
      clear(this.#training.gradients);
      this.#pulls.fresh = true;
      const name = this.#opened.trained[squares.findIndex((x) => !Number.isFinite(x))];
      throw new KelpieError(`the gradient is ${gradNorm}: nothing was updated; a smaller learning rate may help`, {
        code: 'gradient-not-finite',
        where: { step: optimizer.stepsDone, ...(name === undefined ? {} : { tensor: name }) },
      });
    }
    const gradientScale = maxGradNorm > 0 ? Math.min(1, maxGradNorm / (gradNorm + 1e-6)) : 1;
    const { stepsDone } = optimizer;
    this.#pulls.fresh = true;
    this.#changed();
    this.#training.adamw(optimizer.decays, { ...options, learningRate, gradientScale, stepsDone });
    await this.#passes.updateNorms(this.#opened.weights);
    optimizer.stepsDone++;
    this.#updated = true;
    return { gradNorm };
  }

  async sample(request: SampleRequest, options: SampleOptions = {}): Promise<Completion[]> {
    checkTrees(
      request.prompts.map((ids) => ({ trunk: [], branches: [{ ids, scoreFrom: ids.length }] })),
      this.#model,
      this.#model.dimensions.contextLength,
    );
    checkSampling(request);
    requireLanguageHead(this.#model, 'sampling');
    const variant = request.of === 'reference' ? this.#referenceVariant() : this.#policy;
    return sample(this.#passes, this.#model, variant, request, options);
  }

  async updateReference(mixture: number): Promise<void> {
    if (!(mixture > 0 && mixture <= 1)) {
      throw new KelpieError(`the mixture must be above 0 and at most 1, got ${mixture}`, { code: 'mixture' });
    }
    if (this.#moving === undefined) {
      throw new KelpieError(
        'the reference cannot move: open the policy with keepReference, and with a fresh LoRA with keepReference `moving`',
        { code: 'reference-fixed' },
      );
    }
    this.#changed();
    for (const [name, { data }] of this.#moving) mix(data, this.#opened.weights.get(name)!.data, mixture);
    this.#moved = true;
    await this.#updateNorms();
  }

  async gradients(): Promise<Map<string, { shape: readonly number[]; data: Float64Array }>> {
    return new Map(
      [...this.#training.gradients].map(([name, { shape, data }]) => [name, { shape, data: Float64Array.from(data) }]),
    );
  }

  async save(folder: string, options: SaveOptions = {}): Promise<void> {
    await saveModel(this.#opened, folder, options);
  }

  async saveState(file: string): Promise<void> {
    const { m, v } = this.#optimizer === undefined ? { m: new Map(), v: new Map() } : this.#training;
    const stepsDone = this.#optimizer?.stepsDone ?? 0;
    const reference: Weights = this.#moved ? this.#moving! : new Map();
    await writeState(
      file,
      { hash: this.info.hash, trained: this.#trainedWeights(), m, v, reference, stepsDone, updated: this.#updated },
      this.#dtype,
    );
  }

  async restoreState(file: string): Promise<void> {
    if (this.#optimizer === undefined) await this.optimizer({});
    const optimizer = this.#optimizer!;
    const state = await readState(file, {
      hash: this.info.hash,
      trained: this.#trainedWeights(),
      m: this.#training.m,
      v: this.#training.v,
      reference: this.#moving ?? new Map(),
      referenceMoved: this.#moved,
    });
    this.#changed();
    optimizer.stepsDone = state.stepsDone;
    this.#moved = state.referenceMoved;
    if (!this.#pulls.fresh) clear(this.#training.gradients);
    this.#pulls.fresh = true;
    this.#updated = state.updated;
    await this.#updateNorms();
  }

  async #updateNorms(): Promise<void> {
    await this.#passes.updateNorms(this.#opened.weights);
    if (this.#reference?.adapter) await this.#passes.updateNorms(this.#reference.weights);
  }

  async dispose(): Promise<void> {
    await this.#passes.sessions.dispose();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose();
  }

  #trainedWeights(): Weights {
    return new Map(this.#opened.trained.map((name) => [name, this.#opened.weights.get(name)!]));
  }

  /** What is trained has changed, or the reference's counterpart of it. */
  #changed(): void {
    this.#pulls.changed();
    this.#passes.turned.forget(this.#opened.trained);
  }

  /** The folder that was named, the frozen start, or, before the first update, the policy itself. */
  #referenceVariant(): Variant {
    if (this.#reference !== undefined) return this.#reference;
    if (!this.#opened.weightsAreReference || this.#updated) {
      throw new KelpieError(
        'the reference model is gone after the first update: open the policy with keepReference, or score the reference before training',
        {
          code: 'no-reference',
        },
      );
    }
    return this.#policy;
  }

  async #referenceOf(
    names: readonly ScoreName[],
    layout: Layout,
  ): Promise<{ hidden: FloatArray; weights: Weights } | undefined> {
    if (!names.some((name) => scoreOf(name).needsReference)) return undefined;
    const variant = this.#referenceVariant();
    const { hidden } = await this.#passes.forward(layout, variant);
    return { hidden, weights: variant.weights };
  }
}

function clear(...all: readonly Weights[]): void {
  for (const weights of all) for (const { data } of weights.values()) data.fill(0);
}

function warningsOf({ unknownKeys, warnings }: OpenedModel): string[] {
  return [...(unknownKeys.length === 0 ? [] : [`not used of config.json: ${unknownKeys.join(', ')}`]), ...warnings];
}
