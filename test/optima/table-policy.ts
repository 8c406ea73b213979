import { writeFile } from 'node:fs/promises';
import type { ScoreName as ObjectiveScore } from '@kelpie/objectives';
import {
  pullback,
  type SequenceSpace,
  scoresOf,
  type TableActorCritic,
  type TablePolicy,
  tokenLogprobs,
} from '@kelpie/objectives/enumerable';
import { seeded } from '@kelpie/objectives/testing';
import type { AdamWOptions, Completion, Policy, ScoreName, TokenScores, TokenTree } from '@kelpie/policy';
import { pathsOf } from '@kelpie/policy';

/** The prompt of all completions: a token that is in every vocabulary. */
export const prompt = [0] as const;

/** Number of each completion, by its ids. */
export function sequenceNumbers({ sequences, length, tokens, lengths }: SequenceSpace): ReadonlyMap<string, number> {
  const ids = (sequence: number) => tokens.subarray(sequence * length, sequence * length + lengths[sequence]!);
  return new Map(Array.from({ length: sequences }, (_, sequence) => [ids(sequence).join(), sequence]));
}

/**
 * A table of logits and a table of values, as a policy that a loop can train: what a transformer could say it can say
 * exactly, so that nothing but objective, sampling and loop stands between it and an optimum.
 */
export function tableAsPolicy(
  start: TablePolicy,
  reference: TablePolicy,
): Policy & { readonly table: TableActorCritic } {
  const { space } = start;
  const table = { space, logits: start.logits.slice(), values: new Float64Array(space.prefixes) };
  const numbers = sequenceNumbers(space);
  const [logits, values] = [adam(table.logits), adam(table.values)];
  let options: AdamWOptions = {};
  const rowsOf = (trees: readonly TokenTree[]) =>
    trees.flatMap(pathsOf).map(({ ids, scoreFrom }) => numbers.get(ids.slice(scoreFrom).join())!);
  const scored = (of: TableActorCritic, rows: readonly number[], names: readonly ScoreName[]): TokenScores => {
    const tokens = rows.reduce((most, row) => Math.max(most, space.lengths[row]!), 0);
    const narrow = <T extends Float64Array | Uint8Array>(wide: T, into: T): T => {
      rows.forEach((_, row) => {
        into.set(wide.subarray(row * space.length, row * space.length + tokens), row * tokens);
      });
      return into;
    };
    const mask = Uint8Array.from(
      rows.flatMap((row) => [...space.completionMask.subarray(row * space.length, (row + 1) * space.length)]),
    );
    const size = rows.length * tokens;
    const own = names.filter((name) => name !== 'referenceLogprobs') as ObjectiveScore[];
    const wide = {
      ...scoresOf(of, rows, own, reference),
      ...(own.length < names.length && { referenceLogprobs: scoresOf(reference, rows, ['logprobs']).logprobs }),
    };
    const scores = Object.entries(wide).map(([name, values]) => [name, narrow(values!, new Float64Array(size))]);
    return {
      rows: rows.length,
      tokens,
      completionMask: narrow(mask, new Uint8Array(size)),
      ...Object.fromEntries(scores),
    };
  };
  const pull = (rows: readonly number[], tokens: number, cotangents: Readonly<Record<string, Float64Array>>) => {
    const wide = Object.entries(cotangents).map(([name, values]) => {
      const into = new Float64Array(rows.length * space.length);
      rows.forEach((_, row) => {
        into.set(values.subarray(row * tokens, (row + 1) * tokens), row * space.length);
      });
      return [name, into];
    });
    const gradient = pullback(table, rows, Object.fromEntries(wide), reference);
    logits.add(gradient.logits);
    values.add(gradient.values);
  };
  const policy: Policy = {
    info: {
      modelType: 'table',
      parameters: table.logits.length,
      trainedParameters: table.logits.length,
      vocabularySize: space.vocabulary,
      contextLength: space.length + 1,
      hash: 'policy',
      referenceHash: start === reference ? 'policy' : 'reference',
      scalarHead: 'beside',
      referenceMoves: false,
      warnings: [],
      threads: 1,
    },
    score: async ({ trees, scores, of }) => scored(of === 'reference' ? reference : table, rowsOf(trees), scores),
    async vjp({ trees, scores }) {
      const rows = rowsOf(trees);
      const given = scored(table, rows, scores);
      return {
        scores: given,
        async pullback(cotangents) {
          pull(rows, given.tokens, cotangents as Record<string, Float64Array>);
          return given;
        },
        release: async () => {},
      };
    },
    async pull({ trees, scores, cotangents }) {
      const rows = rowsOf(trees);
      const given = scored(table, rows, scores);
      pull(rows, given.tokens, cotangents as Record<string, Float64Array>);
      return given;
    },
    async step(learningRate) {
      logits.step(learningRate, options);
      values.step(learningRate, options);
      return { gradNorm: 0 };
    },
    async sample({ prompts, completions = 1, seed = 0 }) {
      const random = seeded(seed);
      const logprobs = tokenLogprobs(table);
      return prompts.flatMap((_, at) => Array.from({ length: completions }, () => drawn(table, logprobs, random, at)));
    },
    optimizer: async (given) => {
      options = given;
    },
    updateReference: async () => {},
    gradients: async () => new Map(),
    save: async () => {},
    saveState: (file) => writeFile(file, ''),
    restoreState: async () => {},
    dispose: async () => {},
    [Symbol.asyncDispose]: async () => {},
  };
  return { ...policy, table };
}

/** One completion, token by token. */
function drawn({ space }: TablePolicy, logprobs: Float64Array, random: () => number, prompt: number): Completion {
  const { vocabulary, length, end } = space;
  const ids: number[] = [];
  const own: number[] = [];
  while (ids.length < length && (end === undefined || ids.at(-1) !== end)) {
    const from = prefixOf(space, ids) * vocabulary;
    let [left, token] = [random(), 0];
    while (token < vocabulary - 1) {
      left -= Math.exp(logprobs[from + token]!);
      if (left < 0) break;
      token++;
    }
    ids.push(token);
    own.push(logprobs[from + token]!);
  }
  return { prompt, ids, logprobs: Float64Array.from(own), ended: end !== undefined && ids.at(-1) === end };
}

const prefixTables = new WeakMap<SequenceSpace, ReadonlyMap<string, number>>();

function prefixOf(space: SequenceSpace, ids: readonly number[]): number {
  const known = prefixTables.get(space) ?? prefixNumbers(space);
  prefixTables.set(space, known);
  return known.get(ids.join())!;
}

function prefixNumbers({ completionMask, length, tokens, prefixOf }: SequenceSpace): ReadonlyMap<string, number> {
  const numbers = new Map<string, number>();
  completionMask.forEach((bit, at) => {
    if (bit === 1) numbers.set(tokens.subarray(at - (at % length), at).join(), prefixOf[at]!);
  });
  return numbers;
}

/** Adam without clipping, on one table. */
function adam(parameter: Float64Array) {
  const [gradient, m, v] = [0, 0, 0].map(() => new Float64Array(parameter.length)) as [
    Float64Array,
    Float64Array,
    Float64Array,
  ];
  let done = 0;
  return {
    add(more: Float64Array) {
      for (let i = 0; i < more.length; i++) gradient[i]! += more[i]!;
    },
    step(learningRate: number, { betas: [beta1, beta2] = [0.9, 0.999], eps = 1e-8 }: AdamWOptions) {
      done++;
      for (let i = 0; i < parameter.length; i++) {
        m[i] = beta1 * m[i]! + (1 - beta1) * gradient[i]!;
        v[i] = beta2 * v[i]! + (1 - beta2) * gradient[i]! ** 2;
        const hat = Math.sqrt(v[i]! / (1 - beta2 ** done));
        parameter[i]! -= (learningRate * (m[i]! / (1 - beta1 ** done))) / (hat + eps);
      }
      gradient.fill(0);
    },
  };
}
