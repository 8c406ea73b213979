import { familyDivergences } from './distillation/families.js';
import type { Divergence } from './divergences/divergence.js';
import { forwardKl } from './divergences/forward-kl.js';
import { halfChi2PlusKl } from './divergences/half-chi2-plus-kl.js';
import { jensenShannon } from './divergences/jensen-shannon.js';
import { neymanChi2 } from './divergences/neyman-chi2.js';
import { pearsonChi2 } from './divergences/pearson-chi2.js';
import { reverseKl } from './divergences/reverse-kl.js';
import { squaredHellinger } from './divergences/squared-hellinger.js';
import { totalVariation } from './divergences/total-variation.js';
import { nearest, ObjectiveError, type Problem, throwIfAny } from './errors.js';
import { type Cotangents, type ScoreName, type Scores, scoresIn } from './input.js';
import { type Grid, logSoftmax, total } from './numerics.js';

/** Distributions of the next token as logits: what stands between a model and the scores an objective reads. */
export interface TokenLogits extends Grid {
  readonly vocabulary: number;
  /** [rows, tokens, vocabulary]; those at a place predict its token. -Infinity: a token that cannot come. */
  readonly logits: Float64Array;
  /** [rows, tokens]: the realised tokens, for `logprobs`. */
  readonly ids?: ArrayLike<number>;
  /** [rows, tokens, vocabulary], for divergences. */
  readonly referenceLogits?: Float64Array;
  /** Divides all logits. Default 1. */
  readonly temperature?: number;
}

/** One place, in log-probabilities [vocabulary]. */
interface Place {
  readonly logp: Float64Array;
  readonly logq: Float64Array;
  readonly id: number;
}

/** A score of one place, and its gradient at the (tempered) logits, [vocabulary]. */
interface Rule {
  readonly reads?: 'ids' | 'referenceLogits';
  value(place: Place): number;
  gradient(place: Place): Float64Array;
}

/** log p(y);   dlogits = e_y - p */
const logprobs: Rule = {
  reads: 'ids',
  value: ({ logp, id }) => logp[id] ?? Number.NaN,
  gradient: ({ logp, id }) => logp.map((value, v) => (v === id ? -Math.expm1(value) : -Math.exp(value))),
};

/** H = -Σ p log p;   dlogits = -p (log p + H). A token that cannot come adds 0. */
const entropy: Rule = {
  value: ({ logp }) => entropyOf(logp),
  gradient: ({ logp }) => {
    const h = entropyOf(logp);
    return logp.map((value) => (value === Number.NEGATIVE_INFINITY ? 0 : -Math.exp(value) * (value + h)));
  },
};

function entropyOf(logp: Float64Array): number {
  return -total(logp.map((value) => (value === Number.NEGATIVE_INFINITY ? 0 : Math.exp(value) * value)));
}

/** S = log Σ p²;   dlogits = 2 (e^{2 log p - S} - p) */
const logSumSquares: Rule = {
  value: ({ logp }) => logSumSquaresOf(logp),
  gradient: ({ logp }) => {
    const sum = logSumSquaresOf(logp);
    return logp.map((value) => 2 * (Math.exp(2 * value - sum) - Math.exp(value)));
  },
};

function logSumSquaresOf(logp: Float64Array): number {
  return Math.log(total(logp.map((value) => Math.exp(2 * value))));
}

const exactly = (divergence: Divergence): Rule => ({
  reads: 'referenceLogits',
  value: ({ logp, logq }) => divergence.exact(logp, logq).value,
  gradient: ({ logp, logq }) => divergence.exact(logp, logq).gradient,
});

const rules: Readonly<Record<string, Rule>> = {
  logprobs,
  entropy,
  logSumSquares,
  forwardKl: exactly(forwardKl),
  reverseKl: exactly(reverseKl),
  js: exactly(jensenShannon),
  pearsonChi2: exactly(pearsonChi2),
  halfChi2PlusKl: exactly(halfChi2PlusKl),
  neymanChi2: exactly(neymanChi2),
  squaredHellinger: exactly(squaredHellinger),
  totalVariation: exactly(totalVariation),
};
const families: Readonly<Record<string, (parameter: number) => Divergence>> = familyDivergences;

function ruleOf(name: string): Rule {
  const [, family = '', parameter = ''] = /^(\w+)\((.+)\)$/.exec(name) ?? [];
  const rule = Object.hasOwn(rules, name) ? rules[name] : undefined;
  const divergence = Object.hasOwn(families, family) ? families[family]!(Number(parameter)) : undefined;
  const found = rule ?? (divergence && exactly(divergence));
  if (found) return found;
  const known = [...Object.keys(rules), ...Object.keys(families).map((one) => `${one}(0.5)`)];
  throw new ObjectiveError([
    {
      code: 'unknown-score',
      where: { field: name },
      expected: `a score of logits: ${known.join(', ')}`,
      received: 'none of them',
      hint: `Nearest: ${nearest(name, known).join(', ')}.`,
    },
  ]);
}

function checkLogits(input: TokenLogits, names: readonly ScoreName[]): void {
  const { rows, tokens, vocabulary } = input;
  const wide = { shape: '[rows, tokens, vocabulary]', length: rows * tokens * vocabulary };
  const narrow = { shape: '[rows, tokens]', length: rows * tokens };
  const reads = new Set(names.map((name) => ruleOf(name).reads));
  const problems = [
    ...lengthProblem('logits', input.logits, wide),
    ...lengthProblem('completionMask', input.completionMask, narrow),
    ...(reads.has('ids') ? lengthProblem('ids', input.ids, narrow) : []),
    ...(reads.has('referenceLogits') ? lengthProblem('referenceLogits', input.referenceLogits, wide) : []),
  ];
  const { temperature = 1 } = input;
  if (!(temperature > 0)) {
    const where = { field: 'temperature' };
    problems.push({ code: 'invalid-option', where, expected: 'a number above 0', received: `${temperature}` });
  }
  throwIfAny(problems);
}

function lengthProblem(
  field: string,
  values: ArrayLike<number> | undefined,
  { shape, length }: { readonly shape: string; readonly length: number },
): Problem[] {
  if (values?.length === length) return [];
  const received = values === undefined ? 'nothing' : `${values.length} numbers`;
  return [{ code: 'wrong-shape', where: { field }, expected: `${length} numbers, ${shape}`, received }];
}

/** Log-probabilities of the place, of logits divided by the temperature. */
function placeOf({ vocabulary, logits, referenceLogits, ids, temperature = 1 }: TokenLogits, at: number): Place {
  const tempered = (all: Float64Array) =>
    logSoftmax(all.subarray(at * vocabulary, (at + 1) * vocabulary).map((logit) => logit / temperature));
  return {
    logp: tempered(logits),
    logq: referenceLogits ? tempered(referenceLogits) : new Float64Array(),
    id: ids ? Number(ids[at]) : Number.NaN,
  };
}

/** The scores of these names, each [rows, tokens]; 0 where masked. `values` are no score of logits. */
export function scoresOfLogits(input: TokenLogits, names: readonly ScoreName[]): Scores {
  checkLogits(input, names);
  const { rows, tokens, completionMask } = input;
  const scores = names.map((name) => ({ name, rule: ruleOf(name), values: new Float64Array(rows * tokens) }));
  for (let at = 0; at < rows * tokens; at++) {
    if (!completionMask[at]) continue;
    const place = placeOf(input, at);
    for (const { rule, values } of scores) values[at] = rule.value(place);
  }
  return Object.fromEntries(scores.map(({ name, values }) => [name, values]));
}

/**
 * d loss / d logits [rows, tokens, vocabulary] from the cotangents of scores: an objective's gradient, where a model is to
 * be trained by some other means than a policy here.
 *   dlogits = Σ_scores cotangent · dscore/dlogits / temperature;   exactly 0 where masked
 */
export function pullToLogits(input: TokenLogits, cotangents: Cotangents): Float64Array {
  const names = scoresIn(cotangents);
  checkLogits(input, names);
  const { rows, tokens, completionMask, vocabulary, temperature = 1 } = input;
  const pulled = new Float64Array(rows * tokens * vocabulary);
  for (let at = 0; at < rows * tokens; at++) {
    if (!completionMask[at]) continue;
    const place = placeOf(input, at);
    for (const name of names) {
      const factor = cotangents[name]![at]! / temperature;
      if (factor === 0) continue;
      ruleOf(name)
        .gradient(place)
        .forEach((slope, v) => {
          pulled[at * vocabulary + v]! += factor * slope;
        });
    }
  }
  return pulled;
}

/**
 * Whole sequences, in which the logits at a place predict the token behind it, as logits at the place they predict: one
 * token fewer. The first token of a row has no prediction, and the logits at the last have nothing to predict.
 */
export function predictionsOf(sequences: TokenLogits & { readonly ids: ArrayLike<number> }): TokenLogits {
  const { rows, tokens, vocabulary, completionMask, logits, ids, referenceLogits, ...rest } = sequences;
  const part = <A extends Float64Array | Uint8Array>(all: A, { width, from }: { width: number; from: number }): A => {
    const taken = all.slice(0, rows * Math.max(tokens - 1, 0) * width) as A;
    for (let row = 0; row < rows; row++) {
      const start = (row * tokens + from) * width;
      taken.set(all.subarray(start, start + (tokens - 1) * width), row * (tokens - 1) * width);
    }
    return taken;
  };
  const behind = { width: 1, from: 1 };
  const before = { width: vocabulary, from: 0 };
  return {
    ...rest,
    rows,
    tokens: Math.max(tokens - 1, 0),
    vocabulary,
    completionMask: part(completionMask, behind),
    ids: part(Float64Array.from(ids), behind),
    logits: part(logits, before),
    ...(referenceLogits && { referenceLogits: part(referenceLogits, before) }),
  };
}

/** A gradient at `predictionsOf` [rows, tokens - 1, vocabulary] back onto the sequences: 0 at each row's last place. */
export function ontoSequences(
  gradient: Float64Array,
  { rows, tokens, vocabulary }: Pick<TokenLogits, 'rows' | 'tokens' | 'vocabulary'>,
): Float64Array {
  const spread = new Float64Array(rows * tokens * vocabulary);
  const width = Math.max(tokens - 1, 0) * vocabulary;
  for (let row = 0; row < rows; row++) {
    spread.set(gradient.subarray(row * width, (row + 1) * width), row * tokens * vocabulary);
  }
  return spread;
}
