import type { SampleRequest } from './types.js';

export type Truncation = Pick<SampleRequest, 'temperature' | 'topK' | 'topP' | 'minP'>;

/**
 * Draws one token from a row of logits, as transformers orders it: temperature, then top-k, top-p, min-p.
 * `uniform` is one number in [0, 1). Temperature 0 takes the largest logit (the first of equal ones).
 */
export function pick(
  logits: ArrayLike<number>,
  { temperature = 1, topK = 0, topP = 1, minP = 0 }: Truncation,
  uniform: () => number,
): number {
  if (temperature === 0) return argmax(logits);
  const top = logits[argmax(logits)]!;
  const weights = new Float64Array(logits.length);
  for (let i = 0; i < weights.length; i++) weights[i] = Math.exp((logits[i]! - top) / temperature);
  if (topK > 0 && topK < weights.length) keepTopK(weights, topK);
  if (topP < 1) keepTopP(weights, topP);
  if (minP > 0) for (let i = 0; i < weights.length; i++) if (weights[i]! < minP) weights[i] = 0;

  let total = 0;
  for (let i = 0; i < weights.length; i++) total += weights[i]!;
  let left = uniform() * total;
  let last = 0;
  for (let i = 0; i < weights.length; i++) {
    if (weights[i] === 0) continue;
    last = i;
    left -= weights[i]!;
    if (left < 0) return i;
  }
  return last;
}

/** Keeps what is at least the k-th largest (ties are kept, as in transformers). */
function keepTopK(weights: Float64Array, k: number): void {
  const threshold = Float64Array.from(weights).sort()[weights.length - k]!;
  for (let i = 0; i < weights.length; i++) if (weights[i]! < threshold) weights[i] = 0;
}

/** Keeps the smallest set of largest weights that holds at least `p` of the mass. */
function keepTopP(weights: Float64Array, p: number): void {
  const order = Array.from(weights.keys())
    .filter((i) => weights[i]! > 0)
    .sort((a, b) => weights[b]! - weights[a]! || a - b);
  const total = order.reduce((sum, i) => sum + weights[i]!, 0);
  let mass = 0;
  for (const i of order) {
    if (mass >= p * total) weights[i] = 0;
    else mass += weights[i]!;
  }
}

export function argmax(x: ArrayLike<number>): number {
  let best = 0;
  for (let i = 1; i < x.length; i++) if (x[i]! > x[best]!) best = i;
  return best;
}

/** log softmax(logits)[id] */
export function logprobOf(logits: ArrayLike<number>, id: number): number {
  const top = logits[argmax(logits)]!;
  let sum = 0;
  for (let i = 0; i < logits.length; i++) sum += Math.exp(logits[i]! - top);
  return logits[id]! - top - Math.log(sum);
}
