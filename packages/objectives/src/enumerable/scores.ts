import { familyDivergences } from '../distillation/families.js';
import {
  type Divergence,
  forwardKl,
  halfChi2PlusKl,
  jensenShannon,
  neymanChi2,
  pearsonChi2,
  reverseKl,
  squaredHellinger,
  totalVariation,
} from '../divergences/index.js';
import { type Cotangents, type ScoreName, type Scores, scoreFamilies } from '../input.js';
import type { Grid } from '../numerics.js';
import { type TablePolicy, tokenLogprobs } from './policy.js';
import type { SequenceSpace } from './space.js';

/** What is known where one token is drawn. */
interface Position {
  /** [vocabulary]: log π and log π_ref of the next token. */
  readonly logp: Float64Array;
  readonly logq: Float64Array;
  /** The token that was drawn. */
  readonly token: number;
}

/** A score at one position, and its derivative at the logits, which is added times `weight`. */
interface Rule {
  value(position: Position): number;
  pull(position: Position, weight: number, gradient: Float64Array): void;
}

/** Σ_v p_v x_v over what has mass. */
function mean(logp: Float64Array, x: (v: number) => number): number {
  return logp.reduce(
    (sum, logprob, v) => (logprob === Number.NEGATIVE_INFINITY ? sum : sum + Math.exp(logprob) * x(v)),
    0,
  );
}

const entropyOf = ({ logp }: Position) => -mean(logp, (v) => logp[v]!);
const squaresOf = ({ logp }: Position) => mean(logp, (v) => Math.exp(logp[v]!));

/** The derivative of Σ_v p_v x_v where x moves only in second order: p_v (x_v - E x). */
function pullCentred({ logp }: Position, x: (v: number) => number, center: number, weight: number, into: Float64Array) {
  logp.forEach((logprob, v) => {
    if (logprob !== Number.NEGATIVE_INFINITY) into[v]! += weight * Math.exp(logprob) * (x(v) - center);
  });
}

/** Scores of the policy alone. `values` has a table of its own. */
const ofPolicy: { readonly [Name in ScoreName]?: Rule } = {
  logprobs: {
    value: ({ logp, token }) => logp[token]!,
    pull({ logp, token }, weight, gradient) {
      logp.forEach((logprob, v) => {
        gradient[v]! += weight * ((v === token ? 1 : 0) - Math.exp(logprob));
      });
    },
  },
  entropy: {
    value: entropyOf,
    pull: (position, weight, gradient) =>
      pullCentred(position, (v) => -position.logp[v]!, entropyOf(position), weight, gradient),
  },
  logSumSquares: {
    value: (position) => Math.log(squaresOf(position)),
    pull(position, weight, gradient) {
      const squares = squaresOf(position);
      pullCentred(position, (v) => Math.exp(position.logp[v]!), squares, (2 * weight) / squares, gradient);
    },
  },
};

/** Divergences of the policy from the reference at one position. */
const divergences: { readonly [Name in ScoreName]?: Divergence } = {
  forwardKl,
  reverseKl,
  js: jensenShannon,
  pearsonChi2,
  halfChi2PlusKl,
  neymanChi2,
  squaredHellinger,
  totalVariation,
};

function ofDivergence(divergence: Divergence): Rule {
  return {
    value: ({ logp, logq }) => divergence.exact(logp, logq).value,
    pull({ logp, logq }, weight, gradient) {
      divergence.exact(logp, logq).gradient.forEach((slope, v) => {
        gradient[v]! += weight * slope;
      });
    },
  };
}

/** The rule of a score's name, if the enumerable model has one: a name of its own, or a family with its number. */
function ruleNamed(name: ScoreName): Rule | undefined {
  const [, family = '', parameter] = /^(\w+)\((.+)\)$/.exec(name) ?? [];
  if (isFamily(family)) return ofDivergence(familyDivergences[family](Number(parameter)));
  const divergence = divergences[name];
  return divergence ? ofDivergence(divergence) : ofPolicy[name];
}

function isFamily(name: string): name is (typeof scoreFamilies)[number] {
  return scoreFamilies.some((family) => family === name);
}

/** Whether the enumerable model can give a score. */
export function givesScore(name: ScoreName): boolean {
  return name === 'values' || ruleNamed(name) !== undefined;
}

/** A policy with a value estimate per prefix beside its logits. */
export interface TableActorCritic extends TablePolicy {
  /** [prefixes] */
  readonly values?: Float64Array;
}

/** Some completions as rows, [rows, length]. */
export function gridOf(space: SequenceSpace, rows: ArrayLike<number>): Grid {
  const { length } = space;
  const completionMask = new Uint8Array(rows.length * length);
  for (let row = 0; row < rows.length; row++) {
    completionMask.set(space.completionMask.subarray(rows[row]! * length, (rows[row]! + 1) * length), row * length);
  }
  return { rows: rows.length, tokens: length, completionMask };
}

/**
 * Scores of completions, [rows, length], exactly as a policy would give them. Divergences are those between `policy` and
 * `reference` at each prefix.
 */
export function scoresOf(
  policy: TableActorCritic,
  rows: ArrayLike<number>,
  names: readonly ScoreName[],
  reference: TablePolicy = policy,
): Scores {
  const { space } = policy;
  const scores = Object.fromEntries(names.map((name) => [name, new Float64Array(rows.length * space.length)]));
  const logp = tokenLogprobs(policy);
  const logq = reference === policy ? logp : tokenLogprobs(reference);
  eachPosition(space, rows, (at, prefix, token) => {
    const position = positionAt(space, logp, logq, prefix, token);
    for (const name of names) {
      scores[name]![at] = name === 'values' ? (policy.values?.[prefix] ?? 0) : ruleOf(name).value(position);
    }
  });
  return scores;
}

export interface TableGradient {
  /** [prefixes, vocabulary] */
  readonly logits: Float64Array;
  /** [prefixes] */
  readonly values: Float64Array;
}

/** d loss / d table, from d loss / d score of these completions. The reference is constant. */
export function pullback(
  policy: TableActorCritic,
  rows: ArrayLike<number>,
  cotangents: Cotangents,
  reference: TablePolicy = policy,
): TableGradient {
  const { space } = policy;
  const logits = new Float64Array(policy.logits.length);
  const values = new Float64Array(space.prefixes);
  const logp = tokenLogprobs(policy);
  const logq = reference === policy ? logp : tokenLogprobs(reference);
  const given = Object.entries(cotangents) as [ScoreName, Float64Array][];
  eachPosition(space, rows, (at, prefix, token) => {
    const position = positionAt(space, logp, logq, prefix, token);
    const row = logits.subarray(prefix * space.vocabulary, (prefix + 1) * space.vocabulary);
    for (const [name, cotangent] of given) {
      const weight = cotangent[at]!;
      if (weight === 0) continue;
      if (name === 'values') values[prefix]! += weight;
      else ruleOf(name).pull(position, weight, row);
    }
  });
  return { logits, values };
}

function ruleOf(name: ScoreName): Rule {
  const rule = ruleNamed(name);
  if (rule) return rule;
  throw new Error(`the enumerable model gives no score \`${name}\``);
}

function positionAt(
  { vocabulary }: SequenceSpace,
  logp: Float64Array,
  logq: Float64Array,
  prefix: number,
  token: number,
): Position {
  const [from, to] = [prefix * vocabulary, (prefix + 1) * vocabulary];
  return { logp: logp.subarray(from, to), logq: logq.subarray(from, to), token };
}

function eachPosition(
  space: SequenceSpace,
  rows: ArrayLike<number>,
  visit: (at: number, prefix: number, token: number) => void,
): void {
  const { length } = space;
  for (let row = 0; row < rows.length; row++) {
    for (let t = 0; t < length; t++) {
      const cell = rows[row]! * length + t;
      if (space.completionMask[cell]) visit(row * length + t, space.prefixOf[cell]!, space.tokens[cell]!);
    }
  }
}
