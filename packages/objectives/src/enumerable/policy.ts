import type { Random } from '../testing/random.js';
import type { SequenceSpace } from './space.js';

/**
 * A language model as a table: logits of every next token after every prefix, so that any distribution over the
 * completions is one setting of it. Float64 throughout; a logit of -Infinity bans a token.
 */
export interface TablePolicy {
  readonly space: SequenceSpace;
  /** [prefixes, vocabulary]. */
  readonly logits: Float64Array;
}

/** log Σ exp x_i, without overflow; -Infinity of nothing. */
export function logSumExp(values: ArrayLike<number>, from = 0, to = values.length): number {
  let most = Number.NEGATIVE_INFINITY;
  for (let i = from; i < to; i++) most = Math.max(most, values[i]!);
  if (!Number.isFinite(most)) return most;
  let sum = 0;
  for (let i = from; i < to; i++) sum += Math.exp(values[i]! - most);
  return most + Math.log(sum);
}

/** The table shifted to log-probabilities, [prefixes, vocabulary]. */
export function tokenLogprobs({ space, logits }: TablePolicy): Float64Array {
  const { prefixes, vocabulary } = space;
  const logprobs = new Float64Array(logits.length);
  for (let prefix = 0; prefix < prefixes; prefix++) {
    const from = prefix * vocabulary;
    const norm = logSumExp(logits, from, from + vocabulary);
    for (let at = from; at < from + vocabulary; at++) logprobs[at] = logits[at]! - norm;
  }
  return logprobs;
}

/** log π(y) of every completion, [sequences]. */
export function sequenceLogprobs(policy: TablePolicy): Float64Array {
  const { space } = policy;
  const table = tokenLogprobs(policy);
  return Float64Array.from({ length: space.sequences }, (_, sequence) => {
    let sum = 0;
    for (let at = sequence * space.length; at < (sequence + 1) * space.length; at++) {
      if (space.completionMask[at]) sum += table[space.prefixOf[at]! * space.vocabulary + space.tokens[at]!]!;
    }
    return sum;
  });
}

/**
 * The table whose completions have these log-probabilities, up to a common constant: the logit of a token is the log of
 * the mass that goes through it. A prefix without mass is uniform.
 */
export function tableOf(space: SequenceSpace, logprobs: Float64Array): TablePolicy {
  const { prefixes, vocabulary, length } = space;
  const logits = new Float64Array(prefixes * vocabulary).fill(Number.NEGATIVE_INFINITY);
  for (let sequence = 0; sequence < space.sequences; sequence++) {
    for (let at = sequence * length; at < (sequence + 1) * length; at++) {
      if (!space.completionMask[at]) continue;
      const cell = space.prefixOf[at]! * vocabulary + space.tokens[at]!;
      logits[cell] = logAdd(logits[cell]!, logprobs[sequence]!);
    }
  }
  for (let prefix = 0; prefix < prefixes; prefix++) {
    const row = logits.subarray(prefix * vocabulary, (prefix + 1) * vocabulary);
    const norm = logSumExp(row);
    row.set(Number.isFinite(norm) ? row.map((logit) => logit - norm) : new Float64Array(vocabulary));
  }
  return { space, logits };
}

/**
 * [sequences]: the gradient by the log-masses that `tableOf` is given, from one at the logits it makes. In them a margin of
 * log-probabilities is linear.
 */
export function massGradient(space: SequenceSpace, logmasses: Float64Array, atLogits: Float64Array): Float64Array {
  const { vocabulary, length } = space;
  const cellOf = (at: number) => space.prefixOf[at]! * vocabulary + space.tokens[at]!;
  const through = new Float64Array(space.prefixes * vocabulary).fill(Number.NEGATIVE_INFINITY);
  const eachCell = (visit: (sequence: number, cell: number) => void) => {
    for (let at = 0; at < space.sequences * length; at++) {
      if (space.completionMask[at]) visit(Math.floor(at / length), cellOf(at));
    }
  };
  eachCell((sequence, cell) => {
    through[cell] = logAdd(through[cell]!, logmasses[sequence]!);
  });
  const gradient = new Float64Array(space.sequences);
  eachCell((sequence, cell) => {
    gradient[sequence]! += atLogits[cell]! * Math.exp(logmasses[sequence]! - through[cell]!);
  });
  return gradient;
}

/** log(e^a + e^b). */
function logAdd(a: number, b: number): number {
  const most = Math.max(a, b);
  return Number.isFinite(most) ? most + Math.log1p(Math.exp(Math.min(a, b) - most)) : most;
}

/** Every next token as likely as any other. */
export function uniformPolicy(space: SequenceSpace): TablePolicy {
  return { space, logits: new Float64Array(space.prefixes * space.vocabulary) };
}

/** Logits drawn from a normal distribution of this standard deviation. */
export function randomPolicy(space: SequenceSpace, random: Random, deviation = 1): TablePolicy {
  return {
    space,
    logits: Float64Array.from({ length: space.prefixes * space.vocabulary }, () => deviation * normal(random)),
  };
}

/** A standard normal number. Box and Muller 1958. */
export function normal(random: Random): number {
  return Math.sqrt(-2 * Math.log(random())) * Math.cos(2 * Math.PI * random());
}

/** Student-t with 2 degrees of freedom, by its inverse distribution function: heavy tails, no variance. */
export function studentT2(random: Random): number {
  const p = random();
  return (2 * p - 1) / Math.sqrt(2 * p * (1 - p));
}

/** E_p x = Σ p_i x_i; completions without mass are passed over, whatever x holds there. */
export function expectation(logprobs: Float64Array, values: ArrayLike<number>): number {
  return logprobs.reduce((sum, logprob, i) => {
    const mass = Math.exp(logprob);
    return mass === 0 ? sum : sum + mass * values[i]!;
  }, 0);
}

/** Shifts log-masses so that they sum to 1. */
export function normalized(logmasses: Float64Array): Float64Array {
  const norm = logSumExp(logmasses);
  return logmasses.map((logmass) => logmass - norm);
}

/** Mean 0 and standard deviation 1 under a distribution. */
export function standardized(values: Float64Array, logprobs: Float64Array): Float64Array {
  const mean = expectation(logprobs, values);
  const deviation = Math.sqrt(
    expectation(
      logprobs,
      values.map((value) => (value - mean) ** 2),
    ),
  );
  return values.map((value) => (value - mean) / deviation);
}

/** Shannon entropy over completions, in nats. */
export function sequenceEntropy(logprobs: Float64Array): number {
  return -expectation(logprobs, logprobs);
}
