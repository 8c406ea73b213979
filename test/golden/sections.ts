import { type Engine, openTokenizer, type ScoreName, type TokenScores, type TokenTree, treeOf } from '@kelpie/policy';
import type { Check } from './check.js';
import type { GoldenFile, GoldenGradient, GoldenLoss } from './golden-file.js';
import { canonicalName } from './reference.js';

/** Where a section finds its model. */
export interface Place {
  readonly golden: GoldenFile;
  /** The folder that holds the weights. */
  readonly folder: string;
  /** The folder that holds golden.json: a tokenizer may stand in either. */
  readonly goldenFolder: string;
  /** A fresh policy; with `reference`, beside the reference that the golden file describes. */
  open(options?: { readonly reference?: boolean }): Promise<Engine>;
}

export interface Section {
  readonly name: string;
  present(golden: GoldenFile): boolean;
  run(place: Place, check: Check): Promise<void>;
}

/** Float32 against float64: logits, log-probabilities, entropies, KLs, losses. */
const TOLERANCE = 1e-4;

const row = (ids: readonly number[], scoreFrom = 1): TokenTree => ({ trunk: [], branches: [{ ids, scoreFrom }] });

/** One row of scores without what is behind it. */
function rowOf(scores: TokenScores, name: ScoreName, index: number): Float64Array {
  const from = index * scores.tokens;
  const mask = scores.completionMask.subarray(from, from + scores.tokens);
  const length = mask.reduce((a, b) => a + b, 0);
  return scores[name]!.subarray(from, from + length);
}

function sum(x: ArrayLike<number>): number {
  return Array.from(x).reduce((a, b) => a + b, 0);
}

/** Index of the largest number, the first of equal ones. */
function argmax(x: ArrayLike<number>): number {
  return Array.from(x).reduce((best, value, i) => (value > x[best]! ? i : best), 0);
}

// --- whole distributions -----------------------------------------------------------------------------------------

function logSoftmax(logits: ArrayLike<number>): number[] {
  const x = Array.from(logits);
  const top = Math.max(...x);
  const log = top + Math.log(sum(x.map((value) => Math.exp(value - top))));
  return x.map((value) => value - log);
}

const klOf = (p: readonly number[], q: readonly number[]) => sum(p.map((logp, i) => Math.exp(logp) * (logp - q[i]!)));

const ofDistributions = {
  entropy: (p: readonly number[]) => -sum(p.map((logp) => Math.exp(logp) * logp)),
  forwardKl: (p: readonly number[], q: readonly number[]) => klOf(q, p),
  reverseKl: (p: readonly number[], q: readonly number[]) => klOf(p, q),
};

const perPosition = [
  { key: 'entropy', name: 'entropy', ofReference: false },
  { key: 'kl_reference_policy', name: 'forwardKl', ofReference: true },
  { key: 'kl_policy_reference', name: 'reverseKl', ofReference: true },
] as const;

const prompts: Section = {
  name: 'prompts',
  present: ({ prompts: given }) => given !== undefined,
  async run({ golden, open }, check) {
    const wanted = perPosition.filter(({ key }) => golden.prompts!.some((prompt) => prompt[key] !== undefined));
    const reference = wanted.some(({ ofReference }) => ofReference);
    const engine = await open({ reference });
    const vocabulary = engine.info.vocabularySize;
    const names: ScoreName[] = ['logprobs', ...wanted.map(({ name }) => name)];
    const scored = golden.prompts!.map(({ ids }) => row(ids));
    const scores = await engine.score({ trees: scored, scores: names });
    for (const [i, prompt] of golden.prompts!.entries()) {
      const where = `prompt ${i}`;
      const last = prompt.ids.length - 1;
      const logits = await engine.logits(prompt.ids);
      const at = (position: number) => logits.subarray(position * vocabulary, (position + 1) * vocabulary);
      for (const [position, expected] of Object.entries(prompt.logits ?? {})) {
        check.numbers(`${where} logits at ${position}`, at(Number(position)), expected, TOLERANCE);
      }
      if (prompt.argmax !== undefined) {
        const best = prompt.ids.map((_, position) => argmax(at(position)));
        check.same(`${where} argmax`, best, prompt.argmax);
      }
      if (prompt.logprobs !== undefined) {
        check.numbers(`${where} logprobs`, rowOf(scores, 'logprobs', i), prompt.logprobs, TOLERANCE);
      }
      // The last position predicts no token of the row: no score stands for it, its logits do.
      const p = logSoftmax(at(last));
      const q = reference
        ? logSoftmax((await engine.logits(prompt.ids, { of: 'reference' })).subarray(last * vocabulary))
        : [];
      for (const { key, name } of wanted) {
        const expected = prompt[key];
        if (expected === undefined) continue;
        const got = [...rowOf(scores, name, i), ofDistributions[name](p, q)];
        check.numbers(`${where} ${name}`, got.slice(0, expected.length), expected, TOLERANCE);
      }
    }
    await engine.dispose();
  },
};

const rows: Section = {
  name: 'rows',
  present: ({ rows: given }) => given !== undefined,
  async run({ golden, open }, check) {
    const engine = await open();
    for (const [i, { ids, logits }] of golden.rows!.entries()) {
      check.numbers(`row ${i} logits`, await engine.logits(ids), logits.flat(), TOLERANCE);
    }
    await engine.dispose();
  },
};

// --- rows of several lengths -------------------------------------------------------------------------------------

/**
 * A layout has no left and right, so padding is tried in every way that it knows: rows in either order, beside a
 * longer one (which leaves room behind them and packs them into one row), and as branches of one tree.
 */
const padding: Section = {
  name: 'padding',
  present: ({ padding: given }) => given !== undefined,
  async run({ golden, open }, check) {
    const engine = await open();
    const given = golden.padding!.rows;
    const total = given.reduce((n, { ids }) => n + ids.length, 0);
    const all = given.flatMap(({ ids }) => ids);
    const long = [...all, ...all].slice(0, Math.max(2, Math.min(2 * total, engine.info.contextLength)));
    const some = given.map(({ ids }) => row(ids));
    const reversed = [...given.keys()].reverse();
    const batches: {
      readonly name: string;
      readonly trees: readonly TokenTree[];
      readonly order: readonly number[];
    }[] = [
      { name: 'in order', trees: some, order: [...given.keys()] },
      { name: 'reversed', trees: [...some].reverse(), order: reversed },
      { name: 'before a longer row', trees: [...some, row(long)], order: [...given.keys()] },
      { name: 'behind a longer row', trees: [row(long), ...[...some].reverse()], order: [-1, ...reversed] },
      { name: 'one tree', trees: [treeOf(given.map(({ ids }) => ({ ids, scoreFrom: 1 })))], order: [...given.keys()] },
      ...given.map((_, i) => ({ name: 'alone', trees: [some[i]!], order: [i] })),
    ];
    for (const { name, trees, order } of batches) {
      const scores = await engine.score({ trees, scores: ['logprobs'] });
      order.forEach((index, at) => {
        if (index < 0) return;
        check.numbers(`row ${index} ${name}`, rowOf(scores, 'logprobs', at), given[index]!.logprobs, TOLERANCE);
      });
    }
    await engine.dispose();
  },
};

const sorts: Section = {
  name: 'sorts',
  present: ({ sorts: given }) => given !== undefined,
  async run({ golden, open }, check) {
    const engine = await open();
    const given = golden.sorts!;
    const trees = given.map(({ prompt, completion }) => row([...prompt, ...completion], prompt.length));
    const scores = await engine.score({ trees, scores: ['logprobs'] });
    given.forEach(({ logprobs }, i) => {
      check.numbers(`sort ${i}`, rowOf(scores, 'logprobs', i), logprobs, TOLERANCE);
    });
    await engine.dispose();
  },
};

const greedy: Section = {
  name: 'greedy',
  present: ({ greedy: given }) => given !== undefined,
  async run({ golden, open }, check) {
    const engine = await open();
    for (const { prompt_ids: prompt, ids } of [golden.greedy!].flat()) {
      const maxNewTokens = ids.length - prompt.length;
      const [completion] = await engine.sample({ prompts: [prompt], maxNewTokens, temperature: 0 });
      check.same('greedy ids', [...prompt, ...completion!.ids], ids);
    }
    await engine.dispose();
  },
};

const tokenizer: Section = {
  name: 'tokenizer',
  present: ({ tokenizer: given }) => given !== undefined,
  async run({ golden, folder, goldenFolder }, check) {
    const opened = await openTokenizer(folder).catch((error: unknown) => {
      if (folder === goldenFolder) throw error;
      return openTokenizer(goldenFolder);
    });
    for (const { text, ids, decoded } of golden.tokenizer!.cases) {
      check.same(`ids of ${JSON.stringify(text)}`, opened.encode(text, { addSpecialTokens: false }), ids);
      if (decoded !== undefined) check.same(`text of ${JSON.stringify(ids)}`, opened.decode(ids), decoded);
    }
  },
};

// --- losses ------------------------------------------------------------------------------------------------------

/** A loss of the log-probabilities of a batch, with its cotangent. */
interface Loss {
  readonly trees: readonly TokenTree[];
  evaluate(scores: TokenScores): { readonly loss: number; readonly cotangent: Float64Array };
}

function sftLoss({ prompts: given }: GoldenFile): Loss {
  if (given === undefined) throw new Error('the loss is over the prompts, which the file lacks');
  return {
    trees: given.map(({ ids }) => row(ids)),
    evaluate({ logprobs, completionMask }) {
      const count = sum(completionMask);
      return { loss: -sum(logprobs!) / count, cotangent: Float64Array.from(completionMask, (mask) => -mask / count) };
    },
  };
}

const pairTrees = ({ dpo }: GoldenFile): TokenTree[] =>
  dpo!.pairs.map(({ chosen, rejected }) =>
    treeOf([chosen, rejected].map(({ ids, start }) => ({ ids, scoreFrom: start }))),
  );

function dpoLoss(golden: GoldenFile, referenceLogprobs: readonly number[]): Loss {
  const { beta, pairs } = golden.dpo!;
  return {
    trees: pairTrees(golden),
    evaluate(scores) {
      const { tokens, completionMask } = scores;
      const cotangent = new Float64Array(completionMask.length);
      let loss = 0;
      pairs.forEach((_, pair) => {
        const logratio = (i: number) => sum(rowOf(scores, 'logprobs', i)) - referenceLogprobs[i]!;
        const margin = beta * (logratio(2 * pair) - logratio(2 * pair + 1));
        // softplus(-margin), whatever its sign.
        loss += (Math.max(-margin, 0) + Math.log1p(Math.exp(-Math.abs(margin)))) / pairs.length;
        const slope = beta / pairs.length / (1 + Math.exp(margin));
        for (let t = 0; t < tokens; t++) {
          const [chosen, rejected] = [2 * pair * tokens + t, (2 * pair + 1) * tokens + t];
          cotangent[chosen] = -slope * completionMask[chosen]!;
          cotangent[rejected] = slope * completionMask[rejected]!;
        }
      });
      return { loss, cotangent };
    },
  };
}

async function accumulate(engine: Engine, { trees, evaluate }: Loss): Promise<number> {
  const { scores, pullback } = await engine.vjp({ trees, scores: ['logprobs'] });
  const { loss, cotangent } = evaluate(scores);
  await pullback({ logprobs: cotangent });
  return loss;
}

async function checkLoss(engine: Engine, loss: Loss, golden: GoldenLoss, check: Check): Promise<void> {
  check.number('value', await accumulate(engine, loss), golden.value, TOLERANCE);
  const gradients = await engine.gradients();
  for (const [name, expected] of Object.entries(golden.gradients ?? {})) {
    const { data } = gradients.get(canonicalName(name, [...gradients.keys()]))!;
    checkGradient(name, data, expected, check);
  }
}

function checkGradient(
  name: string,
  data: Float64Array,
  { norm, sum: total, samples = [] }: GoldenGradient,
  check: Check,
): void {
  const length = Math.sqrt(data.reduce((a, x) => a + x * x, 0));
  const tolerance = 1e-4 * (norm ?? length) + 1e-7;
  if (norm !== undefined) check.number(`norm of d/${name}`, length, norm, tolerance);
  if (total !== undefined) check.number(`sum of d/${name}`, sum(data), total, tolerance);
  for (const [index, value] of samples) check.number(`d/${name}[${index}]`, data[index], value, tolerance);
}

async function checkCurve(
  engine: Engine,
  loss: Loss,
  golden: GoldenFile,
  curve: readonly number[],
  check: Check,
): Promise<void> {
  if (golden.adamw === undefined) throw new Error('`adamw`, which says how the curve was made, is missing');
  const { lr, betas, eps, weight_decay: weightDecay, decayed = 'every tensor' } = golden.adamw;
  if (decayed !== 'every tensor')
    throw new Error(`\`adamw.decayed\` is ${JSON.stringify(decayed)}, not "every tensor"`);
  await engine.optimizer({ betas, eps, weightDecay, decay: 'all', maxGradNorm: 0 });
  for (const [step, expected] of curve.entries()) {
    check.number(`step ${step}`, await accumulate(engine, loss), expected, TOLERANCE);
    await engine.step(lr);
  }
}

const sft: Section = {
  name: 'sft',
  present: ({ sft: given }) => given !== undefined,
  async run({ golden, open }, check) {
    const engine = await open();
    await checkLoss(engine, sftLoss(golden), golden.sft!, check);
    await engine.dispose();
  },
};

const sftCurve: Section = {
  name: 'sft.adamw_curve',
  present: ({ sft: given }) => given?.adamw_curve !== undefined,
  async run({ golden, open }, check) {
    const engine = await open();
    await checkCurve(engine, sftLoss(golden), golden, golden.sft!.adamw_curve!, check);
    await engine.dispose();
  },
};

async function referenceSums(engine: Engine, golden: GoldenFile): Promise<number[]> {
  const scores = await engine.score({ trees: pairTrees(golden), scores: ['logprobs'], of: 'reference' });
  return Array.from({ length: scores.rows }, (_, i) => sum(rowOf(scores, 'logprobs', i)));
}

const dpo: Section = {
  name: 'dpo',
  present: ({ dpo: given }) => given !== undefined,
  async run({ golden, open }, check) {
    const engine = await open({ reference: true });
    const { policy_logprobs: policy, reference_logprobs: reference, margins, beta } = golden.dpo!;
    const ofReference = await referenceSums(engine, golden);
    const scores = await engine.score({ trees: pairTrees(golden), scores: ['logprobs'] });
    const ofPolicy = ofReference.map((_, i) => sum(rowOf(scores, 'logprobs', i)));
    // Sums over tokens: the tolerance of each adds up.
    const tolerance = (i: number) => TOLERANCE * Math.max(1, rowOf(scores, 'logprobs', i).length / 4);
    policy?.flat().forEach((value, i) => {
      check.number(`policy_logprobs ${i}`, ofPolicy[i], value, tolerance(i));
    });
    reference?.flat().forEach((value, i) => {
      check.number(`reference_logprobs ${i}`, ofReference[i], value, tolerance(i));
    });
    margins?.forEach((value, pair) => {
      const logratio = (i: number) => ofPolicy[i]! - ofReference[i]!;
      // Margins come with and without beta: without, as the files at hand have them, unless only the other fits.
      const raw = logratio(2 * pair) - logratio(2 * pair + 1);
      const got = Math.abs(raw - value) <= Math.abs(beta * raw - value) ? raw : beta * raw;
      check.number(`margins ${pair}`, got, value, 2 * tolerance(2 * pair));
    });
    await checkLoss(engine, dpoLoss(golden, ofReference), golden.dpo!, check);
    await engine.dispose();
  },
};

const dpoCurve: Section = {
  name: 'dpo.adamw_curve',
  present: ({ dpo: given }) => given?.adamw_curve !== undefined,
  async run({ golden, open }, check) {
    const engine = await open({ reference: true });
    const loss = dpoLoss(golden, await referenceSums(engine, golden));
    await checkCurve(engine, loss, golden, golden.dpo!.adamw_curve!, check);
    await engine.dispose();
  },
};

export const sections: readonly Section[] = [
  prompts,
  rows,
  padding,
  sorts,
  greedy,
  tokenizer,
  sft,
  sftCurve,
  dpo,
  dpoCurve,
];

/** Keys that describe a file or serve a section. */
export const describing: ReadonlySet<string> = new Set([
  'model',
  'made_by',
  'notes',
  'family',
  'exercises',
  'config_style',
  'dtype',
  'tied',
  'shards',
  'ignored_tensors',
  'float32_error',
  'float32_gradient_error',
  'float32_curve_error',
  'seed',
  'reference',
  'adamw',
]);
