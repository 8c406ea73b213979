import { type Builder, differentiate, type Graph, type Value } from '@kelpie/onnx';
import type { Model } from './architecture.js';
import { ModelBuilder } from './model-builder.js';
import type { LoraModule } from './parameters.js';
import * as all from './scores/index.js';
import type { ScoreName } from './types.js';

/** What a score's formulas are written in, over n scored tokens; [n, vocabulary] unless said. */
export interface ScoreContext {
  readonly g: Builder;
  /** Log-probabilities of the policy, of logits divided by the temperature. */
  readonly logp: Value;
  p(): Value;
  /** The reference's. */
  logq(): Value;
  q(): Value;
  /** int64 [n] */
  readonly targets: Value;
}

/** A number per scored token: its value and its gradient at the (tempered) logits, side by side. */
export interface Score {
  readonly name: ScoreName;
  /** Takes the reference's whole distribution. */
  readonly needsReference: boolean;
  /** [n] */
  value(context: ScoreContext): Value;
  /** [n, vocabulary], given the score's cotangent [n]. */
  dlogits(context: ScoreContext, cotangent: Value): Value;
}

export const scores: Readonly<Record<ScoreName, Score>> = Object.fromEntries(
  Object.values(all).map((score) => [score.name, score]),
) as Record<ScoreName, Score>;

interface HeadGraphOptions {
  readonly model: Model;
  readonly dtype: 'float32' | 'float64';
  readonly scores: readonly ScoreName[];
  /** Divides the logits by a temperature, whose inverse comes in: a pass over all logits, left out where it is 1. */
  readonly tempered: boolean;
  readonly lora?: readonly LoraModule[];
}

const HIDDEN = 'hidden';
/** Prefix of the reference's hidden states and weights among the inputs of a head. */
export const REFERENCE = 'reference/';

function context({ model, dtype, tempered, lora = [] }: HeadGraphOptions): {
  m: ModelBuilder;
  logits: Value;
  context: ScoreContext;
} {
  const m = new ModelBuilder({
    parameters: model.parameters,
    mode: { kind: 'sequence', present: false },
    dtype,
    lora,
    name: 'head',
  });
  const { g } = m;
  const width = model.dimensions.hiddenSize;
  const logits = model.head(m, g.input(HIDDEN, dtype, ['scored', width]));
  const inverseTemperature = tempered ? g.input('inverseTemperature', dtype, []) : undefined;
  const logprobs = (x: Value) => g.logSoftmax(inverseTemperature === undefined ? x : g.mul(x, inverseTemperature));
  const logp = logprobs(logits);
  const once = (make: () => Value): (() => Value) => {
    let made: Value | undefined;
    return () => {
      made ??= make();
      return made;
    };
  };
  const logq = once(() => {
    const hidden = g.input(`${REFERENCE}${HIDDEN}`, dtype, ['scored', width]);
    return logprobs(model.head(m.prefixed(REFERENCE), hidden));
  });
  return {
    m,
    logits,
    context: {
      g,
      logp,
      p: once(() => g.exp(logp)),
      logq,
      q: once(() => g.exp(logq())),
      targets: g.input('targets', 'int64', ['scored']),
    },
  };
}

/** hidden [n, width] -> one output per score, [n]. */
export function scoreGraph(options: HeadGraphOptions): Graph {
  const { m, context: c } = context(options);
  for (const name of options.scores) m.g.output(name, scores[name].value(c));
  return m.g.build();
}

/**
 * Cotangents `d/<score>` [n], divided by the temperature -> `grad/hidden` [n, width] and, accumulated, the gradient of
 * each trained tensor of the head; the values of `valued` scores [n] come along. All scores meet in one gradient at the
 * logits; logits are computed again rather than kept.
 */
export function scoreVjpGraph(
  options: HeadGraphOptions & { readonly wanted: readonly string[]; readonly valued: readonly ScoreName[] },
): Graph {
  const { m, logits, context: c } = context(options);
  const { g } = m;
  for (const name of options.valued) g.output(name, scores[name].value(c));
  const parts = options.scores.map((name) => scores[name].dlogits(c, g.input(`d/${name}`, g.dtype, ['scored'])));
  const dlogits = parts.reduce(g.add);
  const graph = g.build();
  return differentiate(graph, {
    outputs: [logits.name],
    cotangents: { [logits.name]: dlogits.name },
    wanted: [HIDDEN, ...options.wanted],
    accumulate: options.wanted,
  }).graph;
}
