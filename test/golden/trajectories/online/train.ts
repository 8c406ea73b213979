import {
  countTotals,
  type Evaluation,
  type Grid,
  meanMetrics,
  rowLengths,
  rowSums,
  type ScoreName,
} from '@kelpie/objectives';
import type { Policy, ScoreName as PolicyScore } from '@kelpie/policy';
import { gridOf } from '@kelpie/runner';
import type { Comparison } from '../comparison.js';
import { type Judged, meanLogratio, summed } from './advantages.js';
import { lengthMetrics, rewardMetrics, sumMetrics, zeroSpread } from './metrics.js';
import type { OnlineConvention } from './options.js';
import type { Rollout } from './rows.js';

export interface OnlineRun {
  readonly convention: OnlineConvention;
  readonly rollouts: readonly Rollout[];
  /** Rows of each rollout, groups standing together. */
  readonly batches: readonly (readonly number[])[];
  /** Micro-batches of a whole step. */
  readonly accumulation: number;
  readonly endTokens: readonly number[];
  /** Names of the rewards, in the order of the rows'. */
  readonly rewardNames: readonly string[];
}

/** One row of a rollout in use: what stays fixed while the policy moves. */
interface Fixed {
  readonly advantage: number;
  readonly old: Float64Array | undefined;
  readonly reference: Float64Array | undefined;
}

interface InUse {
  readonly rows: ReadonlyMap<number, Fixed>;
  /** Scored tokens. */
  readonly tokens: number;
}

export interface ReplayedStep {
  readonly loss: number;
  readonly metrics: Readonly<Record<string, number>>;
}

/** Steps of a recorded run on rollouts, one after the other; the optimizer's update is the caller's. */
export class OnlineTraining {
  readonly #policy: Policy;
  readonly #run: OnlineRun;
  readonly #comparison: Comparison;
  #microBatches = 0;
  #seenTokens = 0;
  #inUse: InUse | undefined;

  constructor(policy: Policy, run: OnlineRun, comparison: Comparison) {
    this.#policy = policy;
    this.#run = run;
    this.#comparison = comparison;
  }

  /** Accumulates the gradients of one step. */
  async step(where: string, batches: readonly (readonly number[])[]): Promise<ReplayedStep> {
    const logs: Record<string, number>[] = [];
    let loss = 0;
    for (const indices of batches) {
      const { microBatches, iterations } = this.#run.convention;
      const every = microBatches * iterations;
      const generation = this.#microBatches++ % every === 0;
      if (generation) logs.push(await this.#begin(where, Math.floor((this.#microBatches - 1) / every)));
      const part = await this.#microBatch(indices, batches.length);
      loss += part.loss;
      logs.push(part.metrics);
    }
    return { loss, metrics: averaged(logs) };
  }

  /** Whether some step sees a policy that has moved since the rollout. */
  get #movesWithin(): boolean {
    const { accumulation, convention } = this.#run;
    return accumulation % (convention.microBatches * convention.iterations) !== 0;
  }

  /** Takes a rollout up: log-probabilities as they are now, advantages. */
  async #begin(where: string, number: number): Promise<Record<string, number>> {
    const { convention, rollouts, batches, endTokens, rewardNames } = this.#run;
    const indices = batches[number];
    if (indices === undefined) throw new Error(`${where} takes rollout ${number}, the file has ${batches.length}`);
    const rows = indices.map((index) => rollouts[index]!);
    const readsReference = convention.klCoef > 0 || this.#needs(false).reference.length > 0;
    const old = this.#movesWithin || convention.klCoef > 0 ? await this.#logprobs(rows, 'policy') : undefined;
    const reference = readsReference ? await this.#logprobs(rows, 'reference') : undefined;
    const judged: Judged = {
      ...gridOf(rows.map(({ example }) => example.tree)),
      groups: Int32Array.from(rows, (_, row) => Math.floor(row / convention.group)),
      rewards: rows[0]!.rewards.map((_, at) => Float64Array.from(rows, ({ rewards }) => rewards[at]!)),
      ...(old && { logprobs: old }),
      ...(reference && { referenceLogprobs: reference }),
    };
    const { advantages, compared, spread } = convention.advantage(judged);
    this.#compareRows(where, indices, judged, advantages);
    const rowOf = (values: Float64Array | undefined, row: number) =>
      values?.slice(row * judged.tokens, (row + 1) * judged.tokens);
    this.#inUse = {
      rows: new Map(
        indices.map((index, row) => [
          index,
          { advantage: advantages[row]!, old: rowOf(old, row), reference: rowOf(reference, row) },
        ]),
      ),
      tokens: rowLengths(judged).reduce((a, b) => a + b, 0),
    };
    this.#seenTokens += rows.reduce((sum, row) => sum + row.prompt.length + row.completion.length, 0);
    return {
      num_tokens: this.#seenTokens,
      ...lengthMetrics(rows, endTokens),
      ...rewardMetrics(judged, rewardNames),
      ...sumMetrics(summed(judged, convention.weights)),
      frac_reward_zero_std: zeroSpread(compared, spread === 'group' ? convention.group : compared.length),
      ...(convention.klCoef > 0 && { kl: meanLogratio(judged) }),
    };
  }

  #needs(onPolicy: boolean) {
    const { objective, objectiveOptions } = this.#run.convention;
    return objective.needsOf({ ...objectiveOptions, onPolicy });
  }

  async #logprobs(rows: readonly Rollout[], of: 'policy' | 'reference'): Promise<Float64Array> {
    const { temperature } = this.#run.convention;
    const trees = rows.map(({ example }) => example.tree);
    const { logprobs } = await this.#policy.score({ trees, scores: ['logprobs'], temperature, of });
    return logprobs!;
  }

  #compareRows(where: string, indices: readonly number[], judged: Judged, advantages: Float64Array): void {
    const sums = (values: Float64Array | undefined) => values && rowSums(judged, values);
    const [old, reference] = [sums(judged.logprobs), sums(judged.referenceLogprobs)];
    indices.forEach((index, row) => {
      const recorded = this.#run.rollouts[index]!;
      const place = `${where}, row ${index}`;
      // With log-probabilities in the rewards advantages are as inexact as those; the gradient is proportional to them.
      const like = judged.logprobs && this.#run.convention.klCoef > 0 ? 'grad_norm' : 'advantage';
      this.#comparison.number('advantage', place, advantages[row], recorded.advantage, like);
      const left = judged.completionMask[row * judged.tokens] === 0;
      if (left) return;
      if (old && recorded.old !== undefined) {
        this.#comparison.number('old_logp', place, old[row], sumOf(recorded.old));
      }
      if (reference && recorded.reference !== undefined) {
        this.#comparison.number('ref_logp', place, reference[row], sumOf(recorded.reference));
      }
    });
  }

  async #microBatch(
    indices: readonly number[],
    parts: number,
  ): Promise<{ loss: number; metrics: Record<string, number> }> {
    const { convention, rollouts } = this.#run;
    const { objective, objectiveOptions, temperature } = convention;
    const onPolicy = !this.#movesWithin;
    const trees = indices.map((index) => rollouts[index]!.example.tree);
    const names = [...new Set<ScoreName>([...this.#needs(onPolicy).policy, 'entropy'])] as PolicyScore[];
    const { scores, pullback } = await this.#policy.vjp({ trees, scores: names, temperature });
    const { rows, tokens, completionMask, ...policy } = scores;
    const grid = { rows, tokens, completionMask };
    const fixed = indices.map((index) => this.#fixed(index));
    const old = packed(
      grid,
      fixed.map((row) => row.old),
    );
    const reference = packed(
      grid,
      fixed.map((row) => row.reference),
    );
    const input = {
      ...grid,
      policy,
      ...(old && { old: { logprobs: old } }),
      // What is taken off the rewards is no term of the loss, and logged with the rollout.
      ...(reference && convention.klCoef === 0 && { reference: { logprobs: reference } }),
      perToken: {
        advantages: Float64Array.from(completionMask, (bit, at) => bit * fixed[Math.floor(at / tokens)]!.advantage),
      },
    };
    const evaluation = objective.evaluate(input, { ...objectiveOptions, onPolicy });
    const factor = this.#factor(countTotals('single', input).scoredTokens, parts);
    const entries = Object.entries(evaluation.cotangents).map(([name, values]) => [
      name,
      values.map((value) => factor * value),
    ]);
    await pullback(Object.fromEntries(entries));
    const masked = convention.countsMasked ? maskedLoss(grid, fixed) : 0;
    return { loss: factor * (evaluation.loss + masked), metrics: this.#logged(grid, evaluation) };
  }

  #fixed(index: number): Fixed {
    const fixed = this.#inUse?.rows.get(index);
    if (fixed === undefined) throw new Error(`row ${index} is not in the rollout in use`);
    return fixed;
  }

  /** Of a micro-batch's own mean in the step's. */
  #factor(tokens: number, parts: number): number {
    const { average, microBatches } = this.#run.convention;
    if (average === 'micro-batches') return 1 / parts;
    return Math.max(1, tokens) / ((Math.max(1, this.#inUse!.tokens) * parts) / microBatches);
  }

  #logged(grid: Grid, { metrics, details = {} }: Evaluation): Record<string, number> {
    const own = meanMetrics(metrics);
    const lengths = rowLengths(grid);
    const shares = (values: Float64Array) => [
      ...[...rowSums(grid, values)].flatMap((sum, row) => (lengths[row]! > 0 ? [sum / lengths[row]!] : [])),
    ];
    const { clippedLow, clippedHigh } = details;
    const named = Object.entries(this.#run.convention.metricNames).flatMap(([name, ours]) =>
      own[ours] === undefined ? [] : [[name, own[ours]]],
    );
    return {
      ...own,
      ...Object.fromEntries(named),
      ...(clippedLow && { 'clip_ratio/low_min': Math.min(...shares(clippedLow)) }),
      ...(clippedHigh && { 'clip_ratio/high_max': Math.max(...shares(clippedHigh)) }),
    };
  }
}

/** With a ratio of 1, -A of each row without a token, over all rows. */
function maskedLoss(grid: Grid, fixed: readonly Fixed[]): number {
  const lengths = rowLengths(grid);
  return fixed.reduce((sum, { advantage }, row) => sum - (lengths[row] === 0 ? advantage : 0), 0) / grid.rows;
}

/** [rows, tokens], if every row has such numbers. */
function packed({ rows, tokens }: Grid, values: readonly (Float64Array | undefined)[]): Float64Array | undefined {
  if (values.some((row) => row === undefined)) return undefined;
  const out = new Float64Array(rows * tokens);
  values.forEach((row, i) => {
    out.set(row!.subarray(0, tokens), i * tokens);
  });
  return out;
}

function sumOf(values: readonly number[] | number): number {
  return typeof values === 'number' ? values : values.reduce((a, b) => a + b, 0);
}

/** By key, the mean over those that have it. */
function averaged(logs: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  const keys = [...new Set(logs.flatMap((log) => Object.keys(log)))];
  return Object.fromEntries(
    keys.map((key) => {
      const values = logs.flatMap((log) => log[key] ?? []);
      return [key, values.reduce((a, b) => a + b, 0) / values.length];
    }),
  );
}
