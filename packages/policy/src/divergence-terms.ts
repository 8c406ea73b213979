import type { Builder, Value } from '@kelpie/onnx';
import type { ScoreContext } from './score.js';

/**
 * What divergences of the policy p from the reference q are written in, [n, vocabulary]. Log-probabilities may be
 * -Infinity: a token that one side bans. Its terms are selected away where its weight is 0, never multiplied by 0; a
 * ban that makes the divergence infinite gives Infinity.
 */

/** Which log-probability: of a token that is weighted by the policy, or by the reference. */
export type Side = 'policy' | 'reference';

/** No log-probability of a token that can be drawn is so low, in either arithmetic. */
const BANNED = -1e38;

const logOf = ({ logp, logq }: ScoreContext, side: Side): Value => (side === 'policy' ? logp : logq());
const probabilityOf = ({ p, q }: ScoreContext, side: Side): Value => (side === 'policy' ? p() : q());

/** x = log p - log q. Not a number where both sides ban the token. */
export const logratio = ({ g, logp, logq }: ScoreContext): Value => g.sub(logp, logq());

/** `x` where the side can draw the token, else 0; `x` as it is where bans are ruled out. */
function drawn(c: ScoreContext, side: Side, x: Value): Value {
  const { g } = c;
  if (!c.bans) return x;
  return g.where(g.greater(logOf(c, side), g.scalar(BANNED)), x, g.scalar(0));
}

/** p x, or q x. */
export function weighted(c: ScoreContext, side: Side, x: Value): Value {
  return drawn(c, side, c.g.mul(probabilityOf(c, side), x));
}

/**
 * p (e^y - 1), or q (e^y - 1). Near y = 0 all digits of the difference are kept; beyond, the product is taken in log
 * space, so that a small p meets a large e^y without either under- or overflow.
 */
export function weightedExpm1(c: ScoreContext, side: Side, y: Value): Value {
  const { g } = c;
  const probability = probabilityOf(c, side);
  const near = g.less(g.emit('Abs', [y])[0]!, g.scalar(1));
  const far = g.sub(g.exp(g.add(logOf(c, side), y)), probability);
  return drawn(c, side, g.where(near, g.mul(probability, expm1(g, y)), far));
}

/** 2 t / (1 - t), t = tanh(y / 2); for |y| < 1. */
function expm1(g: Builder, y: Value): Value {
  const t = g.tanh(g.scale(y, 0.5));
  return g.div(g.scale(t, 2), g.sub(g.scalar(1), t));
}

/** log(s + (1 - s) e^y), 0 < s < 1, for any y: log s + softplus(y + log((1 - s) / s)). */
export function logBlend(g: Builder, s: number, y: Value): Value {
  const shifted = g.add(y, g.scalar(Math.log((1 - s) / s)));
  const tail = g.log(g.add(g.exp(g.neg(g.emit('Abs', [shifted])[0]!)), g.scalar(1)));
  return g.add(g.add(g.relu(shifted), tail), g.scalar(Math.log(s)));
}

/** Σ p x, or Σ q x: [n]. Where bans are ruled out it is a product of rows: the terms are never written down. */
export function mean(c: ScoreContext, side: Side, x: Value): Value {
  return c.bans ? total(c.g, weighted(c, side, x)) : dots(c.g, probabilityOf(c, side), x);
}

/** Σ x y of each row of [n, vocabulary]: [n]. */
export function dots(g: Builder, x: Value, y: Value): Value {
  // Only float32 has a kernel that reads the second row as it lies.
  if (g.dtype === 'float64') return total(g, g.mul(x, y));
  const line = (of: Value) => g.unsqueeze(of, [1]);
  return g.squeeze(g.matmul(line(x), line(y), { transB: true }), [1, 2]);
}

/** [n] of terms [n, vocabulary]. */
export const total = (g: Builder, terms: Value): Value => g.sum(terms, [1], false);

/** From the terms p h of a mean over the policy, with h held still: p (h - E_p h), times the cotangent [n]. */
export function centred({ g, p }: ScoreContext, terms: Value, cotangent: Value): Value {
  return times(g, g.sub(terms, g.mul(p(), g.sum(terms, [1]))), cotangent);
}

/** [n, vocabulary] times [n]. */
export const times = (g: Builder, x: Value, cotangent: Value): Value => g.mul(x, g.unsqueeze(cotangent, [1]));
