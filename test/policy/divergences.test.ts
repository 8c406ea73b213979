import {
  isDivergence,
  type ScoreName as ObjectiveScoreName,
  pullToLogits,
  scoreFamilies,
  scoreNames,
  scoresOfLogits,
} from '@kelpie/objectives';
import { type DivergenceName, KelpieError, type ScoreName } from '@kelpie/policy';
import { describe, expect, expectTypeOf, test } from 'vitest';
import type { Model } from '../../packages/policy/src/architecture.js';
import { checkScoring } from '../../packages/policy/src/checks.js';
import { scoreGraph, scoreOf, scoreVjpGraph } from '../../packages/policy/src/score.js';
import { floats, floatTensor, Sessions, Tensor } from '../../packages/policy/src/sessions.js';
import { allocate } from '../../packages/policy/src/weights.js';
import { randomOf, row } from './models.js';

type Dtype = 'float32' | 'float64';

/** A head that hands its hidden states on as logits: scores of given distributions. */
const headOf = (vocabularySize: number): Model => ({
  parameters: [],
  linears: [],
  headWeight: '',
  dimensions: { hiddenSize: vocabularySize, vocabularySize, contextLength: 8, layers: 0, kvHeads: 1, headDim: 1 },
  body: () => {
    throw new Error('there is no body');
  },
  head: (_, hidden) => hidden,
});

interface Result {
  /** [n]: as it comes where bans are ruled out. */
  readonly trusting: number[];
  /** [n] */
  readonly value: number[];
  /** [n, vocabulary] */
  readonly dlogits: number[][];
  /** Gradients of the targets' log-probabilities with the score valued on the way: where bans are ruled out, and not. */
  readonly beside: readonly (readonly number[])[];
}

/** A score and its gradient at the policy's logits [n, vocabulary], as the policy's head computes them. */
async function scoreAt(
  name: ScoreName,
  policy: readonly (readonly number[])[],
  reference: readonly (readonly number[])[],
  dtype: Dtype,
): Promise<Result> {
  const n = policy.length;
  const width = policy[0]!.length;
  const sessions = new Sessions({ threads: 1, verbatim: dtype === 'float64' });
  const tensor = (values: readonly number[], shape: readonly number[]) => {
    const data = allocate(dtype, values.length);
    data.set(values);
    return floatTensor(data, shape);
  };
  const options = { model: headOf(width), dtype, scores: [name], tempered: false };
  const run = async (key: string, graph: Parameters<Sessions['get']>[1]) => {
    const session = await sessions.get(key, graph);
    const feeds = new Map([
      ['hidden', tensor(policy.flat(), [n, width])],
      ['reference/hidden', tensor(reference.flat(), [n, width])],
      ['targets', new Tensor('int64', new BigInt64Array(n), [n])],
      [`d/${name}`, tensor(Array(n).fill(1), [n])],
      ['d/logprobs', tensor(Array(n).fill(1), [n])],
    ]);
    return session.run(new Map([...feeds].filter(([input]) => session.inputs.includes(input))));
  };
  const value = (await run('score', () => scoreGraph(options)))[name]!;
  const trusting = (await run('trusting', () => scoreGraph({ ...options, bans: false })))[name]!;
  const dlogits = (await run('vjp', () => scoreVjpGraph({ ...options, wanted: [], valued: [] })))['grad/hidden']!;
  const flat = [...floats(dlogits)];
  const beside: number[][] = [];
  for (const bans of [false, true]) {
    const graph = () => scoreVjpGraph({ ...options, scores: ['logprobs'], wanted: [], valued: [name], bans });
    beside.push([...floats((await run(`beside/${bans}`, graph))['grad/hidden']!)]);
  }
  await sessions.dispose();
  return {
    value: [...floats(value)],
    trusting: [...floats(trusting)],
    dlogits: policy.map((_, i) => flat.slice(i * width, (i + 1) * width)),
    beside,
  };
}

function softmax(logits: readonly number[]): number[] {
  const largest = Math.max(...logits);
  const weights = logits.map((logit) => Math.exp(logit - largest));
  const sum = weights.reduce((a, b) => a + b, 0);
  return weights.map((weight) => weight / sum);
}

/** f and f' of D_f(p ‖ q) = Σ q f(p/q), as the literature writes them; a term of a token that both ban is 0. */
interface Generator {
  readonly f: (u: number) => number;
  readonly slope: (u: number) => number;
}

const power = (a: number): Generator => ({
  f: (u) => (u ** (1 - a) - (1 - a) * u - a) / (a * (a - 1)),
  slope: (u) => (1 - u ** -a) / a,
});
const jsd = (b: number): Generator => ({
  f: (u) => (1 - b) * u * Math.log(u) - ((1 - b) * u + b) * Math.log((1 - b) * u + b),
  slope: (u) => (1 - b) * (Math.log(u) - Math.log((1 - b) * u + b)),
});

const generators: Readonly<Record<string, Generator>> = {
  forwardKl: { f: (u) => -Math.log(u), slope: (u) => -1 / u },
  reverseKl: { f: (u) => u * Math.log(u), slope: (u) => Math.log(u) + 1 },
  js: { f: (u) => 2 * jsd(0.5).f(u), slope: (u) => 2 * jsd(0.5).slope(u) },
  pearsonChi2: { f: (u) => (u - 1) ** 2, slope: (u) => 2 * (u - 1) },
  halfChi2PlusKl: { f: (u) => (u - 1) ** 2 / 2 + u * Math.log(u), slope: (u) => u + Math.log(u) },
  squaredHellinger: { f: (u) => (Math.sqrt(u) - 1) ** 2, slope: (u) => 1 - u ** -0.5 },
  neymanChi2: { f: (u) => (u - 1) ** 2 / u, slope: (u) => 1 - u ** -2 },
  totalVariation: { f: (u) => Math.abs(u - 1) / 2, slope: (u) => Math.sign(u - 1) / 2 },
  'alpha(0.1)': power(0.1),
  'alpha(0.5)': power(0.5),
  'alpha(0.95)': power(0.95),
  'jsd(0.1)': jsd(0.1),
  'jsd(0.8)': jsd(0.8),
  'skewForwardKl(0.1)': {
    f: (u) => -Math.log(0.1 + 0.9 * u),
    slope: (u) => -0.9 / (0.1 + 0.9 * u),
  },
  'skewReverseKl(0.3)': {
    f: (u) => u * Math.log(u / (0.3 * u + 0.7)),
    slope: (u) => Math.log(u / (0.3 * u + 0.7)) + 0.7 / (0.3 * u + 0.7),
  },
};
const names = Object.keys(generators) as DivergenceName[];

/** The divergence and p (f' - E_p f') in float64, by the definition. */
function byDefinition(name: string, policy: readonly number[], reference: readonly number[]) {
  const { f, slope } = generators[name]!;
  const [p, q] = [softmax(policy), softmax(reference)];
  const value = q.reduce((sum, weight, v) => sum + weight * f(p[v]! / weight), 0);
  const slopes = p.map((weight, v) => slope(weight / q[v]!));
  const mean = p.reduce((sum, weight, v) => sum + weight * slopes[v]!, 0);
  return { value, dlogits: p.map((weight, v) => weight * (slopes[v]! - mean)) };
}

const WIDTH = 11;
const random = randomOf('divergences');
const logits = (spread: number) => Array.from({ length: WIDTH }, () => spread * (2 * random() - 1));
const policies = [0.1, 1, 3, 3].map(logits);
const references = [0.1, 1, 1, 3].map(logits);

/** |a - b| in units of the larger, at least `floor`. */
const apart = (a: number, b: number, floor: number) => Math.abs(a - b) / Math.max(floor, Math.abs(b));

describe.each(names)('%s', (name) => {
  // Sums over the vocabulary cancel to the divergence: the error is one of the terms, here of order 1.
  test.each([
    ['float64', 1e-13],
    ['float32', 1e-5],
  ] as const)('is the definition, with its gradient at the logits, in %s', async (dtype, tolerance) => {
    const { value, dlogits } = await scoreAt(name, policies, references, dtype);
    policies.forEach((policy, i) => {
      const expected = byDefinition(name, policy, references[i]!);
      expect(apart(value[i]!, expected.value, 1)).toBeLessThan(tolerance);
      expect(expected.value).toBeGreaterThan(1e-4);
      const largest = Math.max(1, ...expected.dlogits.map(Math.abs));
      dlogits[i]!.forEach((entry, v) => {
        expect(apart(entry, expected.dlogits[v]!, largest)).toBeLessThan(tolerance);
      });
    });
  });

  test('is what the objectives make of the same logits', async () => {
    const { value, trusting, dlogits } = await scoreAt(name, policies, references, 'float64');
    expect(trusting).toEqual(value);
    const logits = {
      rows: policies.length,
      tokens: 1,
      vocabulary: WIDTH,
      completionMask: new Uint8Array(policies.length).fill(1),
      logits: Float64Array.from(policies.flat()),
      referenceLogits: Float64Array.from(references.flat()),
    };
    const ones = new Float64Array(policies.length).fill(1);
    scoresOfLogits(logits, [name])[name]!.forEach((number, i) => {
      expect(apart(value[i]!, number, 1)).toBeLessThan(1e-13);
    });
    const pulled = pullToLogits(logits, { [name]: ones });
    const largest = Math.max(1, ...pulled.map(Math.abs));
    dlogits.flat().forEach((entry, at) => {
      expect(apart(entry, pulled[at]!, largest)).toBeLessThan(1e-13);
    });
  });

  test.each(['float64', 'float32'] as const)('is 0 at the reference, without a gradient, in %s', async (dtype) => {
    const { value, dlogits } = await scoreAt(name, policies, policies, dtype);
    for (const number of [...value, ...dlogits.flat()]) expect(Math.abs(number)).toBeLessThan(1e-6);
  });

  test('a token that both ban changes nothing', async () => {
    const banned = policies.map((policy) => [...policy, Number.NEGATIVE_INFINITY]);
    const alsoBanned = references.map((reference) => [...reference, Number.NEGATIVE_INFINITY]);
    for (const dtype of ['float64', 'float32'] as const) {
      const plain = await scoreAt(name, policies, references, dtype);
      const { value, dlogits } = await scoreAt(name, banned, alsoBanned, dtype);
      value.forEach((number, i) => {
        expect(apart(number, plain.value[i]!, 1)).toBeLessThan(dtype === 'float64' ? 1e-14 : 1e-6);
      });
      dlogits.forEach((entries, i) => {
        expect(entries.at(-1) === 0).toBe(true);
        entries.slice(0, -1).forEach((entry, v) => {
          expect(apart(entry, plain.dlogits[i]![v]!, 1)).toBeLessThan(dtype === 'float64' ? 1e-13 : 1e-5);
        });
      });
    }
  });
});

/** Probabilities as logits; 0 becomes a ban. */
const logOf = (probabilities: readonly number[]) => probabilities.map((p) => Math.log(p));

/** One side bans token 0: the value by hand, from what is left of the sums. */
const policyBans = { policy: [0, 0.5, 0.5], reference: [0.2, 0.4, 0.4] };
const teacherBans = { policy: [0.2, 0.4, 0.4], reference: [0, 0.5, 0.5] };
const LN = Math.log;

const bans: readonly [ScoreName, typeof policyBans, number][] = [
  ['reverseKl', policyBans, LN(1.25)],
  ['js', policyBans, LN(0.5 / 0.45) + 0.2 * LN(2) + 0.8 * LN(0.4 / 0.45)],
  ['alpha(0.5)', policyBans, 4 * (1 - 2 * Math.sqrt(0.2))],
  ['pearsonChi2', policyBans, 0.25],
  ['halfChi2PlusKl', policyBans, 0.125 + LN(1.25)],
  ['squaredHellinger', policyBans, 2 * (1 - 2 * Math.sqrt(0.2))],
  ['totalVariation', policyBans, 0.2],
  ['jsd(0.5)', policyBans, (LN(0.5 / 0.45) + 0.2 * LN(2) + 0.8 * LN(0.4 / 0.45)) / 2],
  ['skewForwardKl(0.5)', policyBans, 0.2 * LN(2) + 0.8 * LN(0.4 / 0.45)],
  ['skewReverseKl(0.5)', policyBans, LN(0.5 / 0.45)],
  ['forwardKl', policyBans, Number.POSITIVE_INFINITY],
  ['neymanChi2', policyBans, Number.POSITIVE_INFINITY],
  ['forwardKl', teacherBans, LN(1.25)],
  ['js', teacherBans, LN(0.5 / 0.45) + 0.2 * LN(2) + 0.8 * LN(0.4 / 0.45)],
  ['alpha(0.5)', teacherBans, 4 * (1 - 2 * Math.sqrt(0.2))],
  ['squaredHellinger', teacherBans, 2 * (1 - 2 * Math.sqrt(0.2))],
  ['neymanChi2', teacherBans, 0.25],
  ['totalVariation', teacherBans, 0.2],
  ['skewForwardKl(0.5)', teacherBans, LN(0.5 / 0.45)],
  ['skewReverseKl(0.5)', teacherBans, 0.2 * LN(2) + 0.8 * LN(0.4 / 0.45)],
  ['reverseKl', teacherBans, Number.POSITIVE_INFINITY],
  ['pearsonChi2', teacherBans, Number.POSITIVE_INFINITY],
  ['halfChi2PlusKl', teacherBans, Number.POSITIVE_INFINITY],
];

test.each(bans)('%s of %o is %d', async (name, { policy, reference }, expected) => {
  for (const dtype of ['float64', 'float32'] as const) {
    const { value, trusting, dlogits, beside } = await scoreAt(name, [logOf(policy)], [logOf(reference)], dtype);
    // The target is token 0, which the policy may ban: its gradient does not see how the score is valued.
    expect(beside[0]!.every(Number.isFinite)).toBe(true);
    expect(beside[0]).toEqual(beside[1]);
    // Right, or seen to be wrong.
    if (Number.isFinite(trusting[0])) expect(apart(trusting[0]!, expected, 1)).toBeLessThan(1e-6);
    if (expected === Number.POSITIVE_INFINITY) {
      expect(value[0]).toBe(expected);
      continue;
    }
    expect(apart(value[0]!, expected, 1)).toBeLessThan(dtype === 'float64' ? 1e-14 : 1e-6);
    expect(dlogits[0]!.every(Number.isFinite)).toBe(true);
    expect(Math.abs(dlogits[0]!.reduce((a, b) => a + b, 0))).toBeLessThan(1e-6);
    if (policy[0] === 0) expect(dlogits[0]![0] === 0).toBe(true);
  }
});

describe('float32 where probabilities underflow', () => {
  // Both sides give token 0 a probability that float32 holds as 0.
  const policy = [-150, 0, 0.5];
  const reference = [-320, 0.2, 0];
  /** A float32 logratio of a few hundred is off by some 1e-5, and its exponential by that share. */
  const tolerance = 1e-4;

  test.each(names.filter((name) => name !== 'neymanChi2'))('%s is that of float64', async (name) => {
    const wide = await scoreAt(name, [policy], [reference], 'float64');
    const narrow = await scoreAt(name, [policy], [reference], 'float32');
    expect(apart(narrow.value[0]!, wide.value[0]!, 1)).toBeLessThan(tolerance);
    narrow.dlogits[0]!.forEach((entry, v) => {
      const scale = Math.max(1, ...wide.dlogits[0]!.map(Math.abs));
      expect(apart(entry, wide.dlogits[0]![v]!, scale)).toBeLessThan(tolerance);
    });
  });

  test('a ratio beyond float32 meets a probability below it', async () => {
    // p²/q = e^-10 at token 0, though p is 0 and p/q is infinite in float32.
    const { value } = await scoreAt('pearsonChi2', [[-150, 0]], [[-290, 0]], 'float32');
    expect(apart(value[0]!, Math.exp(-10), 1e-9)).toBeLessThan(tolerance);
  });

  test('what exceeds float32 is Infinity, not a number', async () => {
    const { value } = await scoreAt('pearsonChi2', [[0, 0]], [[-200, 0]], 'float32');
    expect(value[0]).toBe(Number.POSITIVE_INFINITY);
  });
});

describe('names', () => {
  const ask = (name: string) => () =>
    checkScoring({ trees: [row([0, 1])], scores: [name as ScoreName] }, headOf(WIDTH));
  const errorOf = (run: () => void): KelpieError => {
    try {
      run();
    } catch (error) {
      if (error instanceof KelpieError) return error;
    }
    throw new Error('no KelpieError came');
  };

  test.each([
    ['reverseKL', 'reverseKl'],
    ['pearsonChi', 'pearsonChi2'],
    ['alhpa(0.3)', 'alpha(0.5)'],
    ['skewForwardKL(0.1)', 'skewForwardKl(0.5)'],
  ])('%s leads to %s', (name, near) => {
    const { code, message, where } = errorOf(ask(name));
    expect(code).toBe('unknown-score');
    expect(message.split('there are')[0]).toContain(near);
    expect(where).toEqual({ score: name });
  });

  test.each([
    ['alpha', 'alpha(0.5)'],
    ['alpha()', 'alpha(0.5)'],
    ['alpha(1)', 'alpha(0.5)'],
    ['alpha(-0.3)', 'alpha(0.5)'],
    ['alpha(.3)', 'alpha(0.3)'],
    ['jsd(0.10)', 'jsd(0.1)'],
    ['jsd(x)', 'jsd(0.5)'],
  ])('the number of %s is refused, %s shown', (name, near) => {
    const { code, message } = errorOf(ask(name));
    expect(code).toBe('score-parameter');
    expect(message).toContain(`\`${near}\``);
  });

  test('are those of the objectives, which know what reads a reference', () => {
    for (const name of scoreNames) {
      expect(scoreOf(name).needsReference, name).toBe(isDivergence(name));
    }
    for (const family of scoreFamilies) {
      expect(scoreOf(`${family}(0.5)`).needsReference).toBe(isDivergence(`${family}(0.5)`));
    }
    // Objectives are handed the reference's log-probabilities as the reference's.
    expectTypeOf<Exclude<ScoreName, 'referenceLogprobs'>>().toEqualTypeOf<ObjectiveScoreName>();
  });

  test('of the types', () => {
    const taken: ScoreName[] = ['js', 'alpha(0.25)', 'jsd(0.1)'];
    // @ts-expect-error: a number has to stand in the brackets
    taken.push('alpha(x)');
    // @ts-expect-error: a family needs its number
    taken.push('alpha');
    expect(taken).toHaveLength(5);
  });
});
