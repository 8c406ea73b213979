import { Builder, differentiate, type Graph, prune, type Value } from '@kelpie/onnx';
import type { Model } from './architecture.js';
import { KelpieError, nearestNames } from './errors.js';
import { ModelBuilder } from './model-builder.js';
import * as all from './scores/index.js';
import type { ScoreFamilyName, ScoreName } from './types.js';

/** What a score's formulas are written in, over n scored tokens; [n, vocabulary] unless said. Built as it is asked for. */
export interface ScoreContext {
  readonly g: Builder;
  /** [n]: the scalar head on the last hidden states. */
  scalar(): Value;
  /** Log-probabilities of the policy, of logits divided by the temperature. */
  readonly logp: Value;
  p(): Value;
  /** The reference's. */
  logq(): Value;
  q(): Value;
  /** int64 [n] */
  readonly targets: Value;
  /**
   * Whether log-probabilities may be -Infinity. Where they are taken to be finite, terms are not selected, and one that is
   * not makes the score not finite: whoever runs the graph then takes the other.
   */
  readonly bans: boolean;
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

/** A number per scored token that does not go through the logits: the graph differentiates its value. */
export interface ScalarScore extends Pick<Score, 'name' | 'needsReference' | 'value'> {
  readonly scalar: true;
}

/** Scores that differ by a number between 0 and 1, written behind the family's name: `alpha(0.3)`. */
export interface ScoreFamily {
  readonly family: ScoreFamilyName;
  of(parameter: number): Score;
}

const things: readonly (Score | ScalarScore | ScoreFamily)[] = Object.values(all);
const scores = new Map(things.flatMap((thing) => ('name' in thing ? [[thing.name as string, thing]] : [])));
const families = new Map(things.flatMap((thing) => ('family' in thing ? [[thing.family as string, thing]] : [])));

/** @throws KelpieError when there is no such score. */
export function scoreOf(name: string): Score | ScalarScore {
  const score = scores.get(name);
  if (score !== undefined) return score;
  const [, stem = name, parameter] = /^(\w+)\((.*)\)$/.exec(name) ?? [];
  const family = families.get(stem);
  if (family !== undefined) return family.of(parameterOf(name, stem, parameter));
  const near = nearestNames(stem, [...scores.keys(), ...families.keys()]).map(spelled);
  throw new KelpieError(
    `no score \`${name}\`; nearest: ${near.join(', ')}; there are ${[...scores.keys(), ...families.keys()].map(spelled).join(', ')}`,
    { code: 'unknown-score', where: { score: name } },
  );
}

/** How a score is asked for, or one of a family. */
const spelled = (name: string): string => (families.has(name) ? `${name}(0.5)` : name);

/** One spelling of each number, so that a score has one name. */
function parameterOf(name: string, family: string, text: string | undefined): number {
  const parameter = Number(text);
  if (text !== undefined && parameter > 0 && parameter < 1 && String(parameter) === text) return parameter;
  const near = parameter > 0 && parameter < 1 ? `${family}(${parameter})` : `${family}(0.5)`;
  throw new KelpieError(
    `the score \`${family}\` takes a number between 0 and 1, both excluded, such as \`${near}\`; got \`${name}\``,
    { code: 'score-parameter', where: { score: name } },
  );
}

interface HeadGraphOptions {
  readonly model: Model;
  readonly dtype: 'float32' | 'float64';
  readonly scores: readonly ScoreName[];
  /** Divides the logits by a temperature, whose inverse comes in: a pass over all logits, left out where it is 1. */
  readonly tempered: boolean;
  /** See `ScoreContext`. Default true. */
  readonly bans?: boolean;
  /**
   * Takes the hidden states of whole rows [rows, tokens, width] and where the scored ones stand, `sources` [scored], and
   * gives `d/hidden` back in that shape, by `places` [rows, tokens]: the scored position of a token, or their number.
   */
  readonly placed?: boolean;
}

const HIDDEN = 'hidden';
/** Prefix of the reference's hidden states and weights among the inputs of a head. */
export const REFERENCE = 'reference/';

/** Whether a score is taken from the scalar head. */
export function isScalar(name: ScoreName): boolean {
  return 'scalar' in scoreOf(name);
}

/** Whether the gradient of one of these scores is another where tokens are banned: a target's log-probability never is. */
export function readsBans(names: readonly ScoreName[]): boolean {
  return names.some((name) => name !== 'logprobs' && !isScalar(name));
}

function context({ model, dtype, tempered, bans = true, placed = false }: HeadGraphOptions): {
  m: ModelBuilder;
  hidden: Value;
  logits(): Value;
  context: ScoreContext;
} {
  const m = new ModelBuilder({
    parameters: model.parameters,
    mode: { kind: 'sequence', present: false },
    dtype,
    name: 'head',
  });
  const { g } = m;
  const width = model.dimensions.hiddenSize;
  const hidden = placed
    ? g.gather(g.flatten2d(g.input(HIDDEN, dtype, ['rows', 'tokens', width])), g.input('sources', 'int64', ['scored']))
    : g.input(HIDDEN, dtype, ['scored', width]);
  const once = (make: () => Value): (() => Value) => {
    let made: Value | undefined;
    return () => {
      made ??= make();
      return made;
    };
  };
  const logits = once(() => model.head(m, hidden));
  const inverseTemperature = once(() => g.input('inverseTemperature', dtype, []));
  const logprobs = (x: Value) => g.logSoftmax(tempered ? g.mul(x, inverseTemperature()) : x);
  const logp = once(() => logprobs(logits()));
  const targets = once(() => g.input('targets', 'int64', ['scored']));
  const logq = once(() => {
    const hidden = g.input(`${REFERENCE}${HIDDEN}`, dtype, ['scored', width]);
    return logprobs(model.head(m.prefixed(REFERENCE), hidden));
  });
  return {
    m,
    hidden,
    logits,
    context: {
      g,
      bans,
      get logp() {
        return logp();
      },
      scalar: once(() => g.squeeze(m.project(hidden, model.scalarHead!), [1])),
      p: once(() => g.exp(logp())),
      logq,
      q: once(() => g.exp(logq())),
      get targets() {
        return targets();
      },
    },
  };
}

/** hidden [n, width] -> one output per score, [n]; with `keep`, the logits [n, vocabulary] are the last. */
export function scoreGraph({ keep = false, ...options }: HeadGraphOptions & { readonly keep?: boolean }): Graph {
  const { m, logits, context: c } = context(options);
  for (const name of options.scores) m.g.output(name, scoreOf(name).value(c));
  // By their own name: an Identity would copy them.
  if (keep) m.g.output(logits().name, logits());
  return m.g.build();
}

/**
 * Cotangents `d/<score>` [n], those through logits divided by the temperature -> `grad/hidden` [n, width] and, accumulated, the gradient of
 * each trained tensor of the head; the values of `valued` scores [n] come along. All scores meet in one gradient at the
 * logits, which are computed again, or with `kept` are the last input.
 */
export function scoreVjpGraph({
  kept = false,
  ...options
}: HeadGraphOptions & {
  readonly wanted: readonly string[];
  readonly valued: readonly ScoreName[];
  readonly kept?: boolean;
}): Graph {
  const { m, hidden, logits, context: c } = context(options);
  const { g } = m;
  for (const name of options.valued) g.output(name, scoreOf(name).value(c));
  const cotangents: Record<string, string> = {};
  const parts: Value[] = [];
  for (const name of options.scores) {
    const score = scoreOf(name);
    const cotangent = g.input(`d/${name}`, g.dtype, ['scored']);
    if ('scalar' in score) cotangents[score.value(c).name] = cotangent.name;
    else parts.push(score.dlogits(c, cotangent));
  }
  if (parts.length > 0) cotangents[logits().name] = parts.reduce(g.add).name;
  const { graph } = differentiate(g.build(), {
    outputs: Object.keys(cotangents),
    cotangents,
    wanted: [hidden.name, ...options.wanted],
    accumulate: options.wanted,
  });
  const whole = kept ? prune({ ...graph, inputs: [...graph.inputs, logits()] }) : graph;
  return options.placed ? scattered(whole, `grad/${hidden.name}`) : whole;
}

/** The gradient of the scored hidden states at their places, as `d/hidden` [rows, tokens, width]; all others are 0. */
function scattered(graph: Graph, gradient: string): Graph {
  const { dtype, shape } = graph.outputs.find(({ name }) => name === gradient)!;
  const width = shape.at(-1) as number;
  const g = Builder.from({ ...graph, outputs: graph.outputs.filter(({ name }) => name !== gradient) });
  const none = g.constant(dtype, [1, width], new Array<number>(width).fill(0));
  const places = g.input('places', 'int64', ['rows', 'tokens']);
  g.output(`d/${HIDDEN}`, g.gather(g.concat([g.value(gradient), none], 0), places));
  return g.build();
}
