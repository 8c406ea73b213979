import { readFileSync } from 'node:fs';
import { bco, kto, type Objective, orpo, rowDifferences, total } from '@kelpie/objectives';
import { type Policy, treeOf } from '@kelpie/policy';
import { describe, expect, it } from 'vitest';
import { jsonl, memory } from './loggers/index.js';
import { type OfflineRun, trainOffline } from './offline.js';
import { asRead } from './offline-rows.js';
import { referenceScores } from './reference.js';
import { type Example, gridOf, mismatchedTrees, partOf, type Rows } from './rows.js';
import { accumulate } from './step.js';
import { scratch, tinyOptions, tinyPairs, tinyPolicy } from './testing/tiny.js';

const place = scratch();

/** Every other row is desirable: the chosen side of a pair, else the rejected one; mismatched with the next prompt's. */
function labelled(count: number, first = 0): Example[] {
  const pairs = tinyPairs(count + 1, first);
  const sequence = (prompt: number, side: number) => {
    const { trunk, branches } = pairs[prompt]!.tree;
    const start = branches[0]!.scoreFrom;
    const whole = [...trunk, ...branches[side]!.ids];
    return { prompt: whole.slice(0, start), completion: whole.slice(start) };
  };
  return Array.from({ length: count }, (_, i) => {
    const own = sequence(i, i % 2);
    const other = sequence(i + 1, 0).completion;
    const tree = (completion: readonly number[]) =>
      treeOf([{ ids: [...own.prompt, ...completion], scoreFrom: own.prompt.length }]);
    return {
      id: `row-${first + i}`,
      tree: tree(own.completion),
      mismatched: tree(other),
      labels: [1 - (i % 2)],
      densityRatios: [0.25 * (i + 1)],
    };
  });
}

async function train(name: string, objective: Objective, more: Partial<OfflineRun> & { dtype?: 'float64' } = {}) {
  const { dtype, ...run } = more;
  const policy = await tinyPolicy(place('model'), dtype === undefined ? {} : { dtype });
  const log = memory();
  const outFolder = place(name);
  const result = await trainOffline({
    policy,
    objective,
    examples: labelled(24),
    heldout: labelled(6, 100),
    options: tinyOptions,
    outFolder,
    loggers: [log, jsonl(`${outFolder}/metrics.jsonl`)],
    ...run,
  });
  return { result, log, losses: log.of('step').map(({ loss }) => loss), outFolder };
}

const read = (folder: string, file: string) => readFileSync(`${folder}/${file}`);

async function rowsOf(policy: Policy, examples: readonly Example[]): Promise<Rows> {
  const table = (of: readonly Example[]) => referenceScores({ policy, examples: of, scores: ['logprobs'] });
  const trees = mismatchedTrees(examples);
  const others = examples.map((example, i) => ({ ...example, tree: trees[i]! }));
  return { examples, reference: await table(examples), mismatched: await table(others) };
}

/** The mean logratio of the mismatched rows, at least 0, from the policy's own scores. */
async function pointOf(policy: Policy, examples: readonly Example[]): Promise<number> {
  const trees = mismatchedTrees(examples);
  const [own, start] = await Promise.all([
    policy.score({ trees, scores: ['logprobs'] }),
    policy.score({ trees, scores: ['logprobs'], of: 'reference' }),
  ]);
  const logratios = rowDifferences(gridOf(trees), own.logprobs!, start.logprobs!);
  return Math.max(0, total(logratios) / trees.length);
}

describe('KTO on labelled rows', () => {
  it('tells them apart', async () => {
    const { losses, result, log } = await train('kto', kto as Objective);
    expect(losses[0]).toBeCloseTo(0.5, 6);
    expect(losses.at(-1)).toBeLessThan(0.45);
    expect(result.verdict?.margin?.after).toBeGreaterThan(0.5);
    expect(log.of('self-check')[0]?.parts.map(({ name }) => name)).toContain('objective');
    expect(log.of('reference-progress').filter(({ mismatched, of }) => mismatched && of === 'train')).not.toEqual([]);
  });

  it('takes the same steps however a step is split', async () => {
    const at = (rows: number) => ({ options: { ...tinyOptions, microBatchRows: rows }, dtype: 'float64' as const });
    const one = await train('1x8', kto as Objective, at(8));
    const many = await train('8x1', kto as Objective, at(1));
    const whole = await train('whole', { ...(kto as Objective), separable: false }, at(3));
    for (const other of [many, whole]) {
      other.losses.forEach((loss, i) => {
        expect(Math.abs(loss - one.losses[i]!)).toBeLessThan(1e-10);
      });
    }
    const kl = one.log.of('step').map(({ metrics }) => metrics.kl!);
    expect(Math.max(...kl)).toBeGreaterThan(0);
    many.log.of('step').forEach(({ metrics }, i) => {
      expect(metrics.kl).toBeCloseTo(kl[i]!, 9);
    });
  });

  it('has the reference point of the step, or of each micro-batch by itself', async () => {
    const policy = await tinyPolicy(place('model'));
    const examples = labelled(4);
    const rows = await rowsOf(policy, examples);
    const task = { policy, objective: kto as Objective };
    const parts = [
      [0, 1],
      [2, 3],
    ].map((indices) => partOf('unpaired', rows, indices));
    // Away from the reference, towards every second token.
    await policy.optimizer({ decay: 'all', weightDecay: 0, maxGradNorm: 0, betas: [0.9, 0.999], eps: 1e-8 });
    const { pullback } = await policy.vjp({ trees: mismatchedTrees(examples), scores: ['logprobs'] });
    const grid = gridOf(mismatchedTrees(examples));
    await pullback({ logprobs: Float64Array.from(grid.completionMask, (bit, at) => (at % 2 ? 0 : -bit)) });
    await policy.step(0.02);
    const step = { step: 1, entropy: false };
    const points = [await pointOf(policy, examples.slice(0, 2)), await pointOf(policy, examples.slice(2))];
    const together = await accumulate(task, parts, step);
    const apart = await accumulate(task, parts, { ...step, average: 'micro-batches' });
    const klOf = ({ kl }: { kl?: { sum: number; count: number } }) => kl!.sum / kl!.count;
    expect(points[0]).toBeGreaterThan(0);
    expect(points[0]).not.toBeCloseTo(points[1]!, 3);
    for (const part of together.microBatches) expect(klOf(part)).toBeCloseTo((points[0]! + points[1]!) / 2, 4);
    apart.microBatches.forEach((part, i) => {
      expect(klOf(part)).toBeCloseTo(points[i]!, 4);
    });
  });

  it('says which row lacks its mismatched completion', async () => {
    const examples = labelled(4).map(({ mismatched, ...row }, i) =>
      i === 2 ? row : { ...row, mismatched: mismatched! },
    );
    await expect(train('lacks', kto as Objective, { examples })).rejects.toMatchObject({
      code: 'objective-not-offline',
      where: { row: 'row-2' },
    });
  });

  it('reads pairs as rows of both labels', async () => {
    const examples = tinyPairs(8).map((pair, i, all) => ({ ...pair, labels: [1, 0], mismatched: all.at(i - 1)!.tree }));
    const { losses } = await train('from-pairs', kto as Objective, { examples, heldout: [] });
    expect(losses.at(-1)).toBeLessThan(losses[0]!);
  });
});

describe("BCO's running mean", () => {
  const objective = bco as Objective;
  const objectiveOptions = { densityRatio: true };

  it('goes on where a stopped run left it: the same bytes', async () => {
    const options = { ...tinyOptions, evaluateEvery: 1 };
    const whole = await train('bco', objective, { objectiveOptions, options });
    const controller = new AbortController();
    const outFolder = place('bco-stopped');
    const stop = {
      name: 'stop',
      log: (event: { type: string; step?: number }) => {
        if (event.type === 'step' && event.step === 3) controller.abort();
      },
    };
    const loggers = [jsonl(`${outFolder}/metrics.jsonl`), stop];
    const more = { objectiveOptions, options, loggers, signal: controller.signal };
    expect((await train('bco-stopped', objective, more)).result.stopped).toBe(true);
    const loop = JSON.parse(read(outFolder, 'checkpoints/step-000003/loop.json').toString());
    expect(loop.objectiveState).toMatchObject({ deltaCount: 24, deltaMean: expect.any(Number) });
    await train('bco-stopped', objective, { objectiveOptions, options, resume: true });
    for (const file of ['metrics.jsonl', 'model/model.safetensors', 'run.json'])
      expect(read(outFolder, file).equals(read(whole.outFolder, file)), file).toBe(true);
  });

  it('is not moved by an evaluation', async () => {
    const often = await train('often', objective, { options: { ...tinyOptions, evaluateEvery: 1 } });
    const seldom = await train('seldom', objective, { options: { ...tinyOptions, evaluateEvery: 0 } });
    expect(often.losses).toEqual(seldom.losses);
  });
});

describe("a likelihood that takes the prompt in, as TRL's ORPO", () => {
  it('scores the chosen side from its second token, and tells where completions begin', () => {
    const [pair] = tinyPairs(1);
    const [read] = asRead([pair!], orpo as Objective, { nllOver: 'sequence' });
    const start = pair!.tree.branches[0]!.scoreFrom;
    expect(read!.tree.branches.map(({ scoreFrom }) => scoreFrom)).toEqual([1, start]);
    const { perToken, tokens } = partOf('pairs', { examples: [read!], reference: {} }, [0]);
    const first = Array.from({ length: tokens }, (_, t) => (t < start - 1 ? 1 : 0));
    expect([...perToken.promptTokens!]).toEqual([...first, ...first.map(() => 0)]);
    expect(asRead([pair!], orpo as Objective, {})).toEqual([pair]);
  });

  it('trains, and samples from the same prompts', async () => {
    const runs = await Promise.all(
      (['completion', 'sequence'] as const).map((nllOver) =>
        train(`orpo-${nllOver}`, orpo as Objective, {
          objectiveOptions: { nllOver },
          examples: tinyPairs(16),
          heldout: tinyPairs(4, 100),
        }),
      ),
    );
    for (const { losses } of runs) expect(losses.at(-1)).toBeLessThan(losses[0]! - 0.1);
    const promptsOf = ({ log }: (typeof runs)[number]) => log.of('sample')[0]!.samples.map(({ prompt }) => prompt);
    expect(promptsOf(runs[0]!)).toEqual(promptsOf(runs[1]!));
    expect(runs[0]!.losses[0]).not.toBeCloseTo(runs[1]!.losses[0]!, 2);
  });
});
