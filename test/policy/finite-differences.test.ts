import { open } from 'node:fs/promises';
import type { Engine, ScoreName, TokenTree } from '@kelpie/policy';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { layOut } from '../../packages/policy/src/layout.js';
import { openModel } from '../../packages/policy/src/model-folder.js';
import { Passes } from '../../packages/policy/src/passes.js';
import {
  allScores,
  cotangentsOf,
  distance,
  divergences,
  lossOf,
  openTiny,
  randomIds,
  randomOf,
  row,
  SEED,
  scoresAndGradients,
  scratchFile,
  tinyModels,
  writeConfig,
} from './models.js';

const random = randomOf('finite-differences');

const trees: readonly TokenTree[] = [
  {
    trunk: randomIds(random, 6),
    branches: [3, 5, 1].map((n, i) => ({ ids: randomIds(random, n), scoreFrom: 6 - i })),
  },
  row(randomIds(random, 7), 3),
  row(randomIds(random, 4)),
];

/** Five points in float64: truncation and rounding stay below 1e-7 of a derivative that is not small by chance. */
const STEP = 2e-5;
const TOLERANCE = 1e-6;

/** The engine with its trained tensors moved `step` times along a random direction: through a saved state. */
interface Moved {
  readonly name: string;
  /** Its first byte in the file. */
  readonly at: number;
  readonly start: Float64Array;
}

class Line {
  readonly #engine: Engine;
  readonly #file: string;
  readonly #tensors: readonly Moved[];
  readonly direction: ReadonlyMap<string, Float64Array>;

  private constructor(engine: Engine, file: string, tensors: readonly Moved[], random: () => number) {
    this.#engine = engine;
    this.#file = file;
    this.#tensors = tensors;
    this.direction = new Map(tensors.map(({ name, start }) => [name, start.map(() => random() - 0.5)]));
  }

  static async from(engine: Engine, random: () => number): Promise<Line> {
    const file = scratchFile('state.safetensors');
    await engine.saveState(file);
    const handle = await open(file, 'r');
    const read = async (position: number, length: number) =>
      (await handle.read(Buffer.alloc(length), 0, length, position)).buffer;
    const length = Number((await read(0, 8)).readBigUInt64LE());
    const header = JSON.parse((await read(8, length)).toString()) as Record<string, { data_offsets: [number, number] }>;
    const tensors: Moved[] = [];
    for (const [name, entry] of Object.entries(header)) {
      if (!name.startsWith('trained/')) continue;
      const [from, to] = entry.data_offsets;
      const bytes = await read(8 + length + from, to - from);
      const start = new Float64Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
      tensors.push({ name: name.slice('trained/'.length), at: 8 + length + from, start });
    }
    await handle.close();
    return new Line(engine, file, tensors, random);
  }

  async moveTo(step: number): Promise<void> {
    const handle = await open(this.#file, 'r+');
    for (const { name, at, start } of this.#tensors) {
      const moved = start.map((x, i) => x + step * this.direction.get(name)![i]!);
      await handle.write(new Uint8Array(moved.buffer), 0, moved.byteLength, at);
    }
    await handle.close();
    await this.#engine.restoreState(this.#file);
  }
}

async function check(engine: Engine, names: readonly ScoreName[], temperature: number): Promise<number> {
  const { gradients } = await scoresAndGradients(engine, trees, { scores: names, temperature });
  const line = await Line.from(engine, randomOf(`direction/${names.join()}`));
  const analytic = [...gradients].reduce(
    (sum, [name, { data }]) => sum + data.reduce((dot, g, i) => dot + g * line.direction.get(name)![i]!, 0),
    0,
  );
  const lossAt = async (step: number) => {
    await line.moveTo(step);
    const scores = await engine.score({ trees, scores: names, temperature });
    return lossOf(scores, cotangentsOf(scores, names));
  };
  const slope = async (step: number) => ((await lossAt(step)) - (await lossAt(-step))) / (2 * step);
  const numeric = (4 * (await slope(STEP)) - (await slope(2 * STEP))) / 3;
  await line.moveTo(0);
  expect(Math.abs(numeric)).toBeGreaterThan(1e-3);
  return Math.abs(analytic - numeric) / Math.abs(numeric);
}

const adapter = { rank: 2, alpha: 3, targetModules: 'all-linear' } as const;

for (const model of tinyModels.filter(({ float32Only }) => !float32Only)) {
  for (const lora of [undefined, adapter]) {
    describe(`${model.name}${lora === undefined ? '' : ', LoRA'}, seed ${SEED}`, () => {
      let engine: Engine;
      beforeAll(async () => {
        engine = await openTiny(model, lora === undefined ? {} : { lora });
      });
      afterAll(() => engine.dispose());

      test.each(allScores)('gradient of %s', async (name) => {
        expect(await check(engine, [name], 1)).toBeLessThan(TOLERANCE);
      });

      test('gradient of all scores at temperature 0.7', async () => {
        expect(await check(engine, allScores, 0.7)).toBeLessThan(TOLERANCE);
      });
    });
  }
}

describe.each([
  { name: 'llama', lora: undefined },
  { name: 'llama, LoRA', lora: adapter },
])('divergences of $name', ({ lora }) => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await openTiny(tinyModels[0]!, lora === undefined ? {} : { lora });
  });
  afterAll(() => engine.dispose());

  test.each(divergences)('gradient of %s', async (name) => {
    expect(await check(engine, [name], 1)).toBeLessThan(TOLERANCE);
  });

  test('gradient of all at temperature 0.7', async () => {
    expect(await check(engine, divergences, 0.7)).toBeLessThan(TOLERANCE);
  });
});

test.each(tinyModels.filter(({ name }) => /default|tied|gpt2$/.test(name)))(
  "$name: the size of the head's chunks changes nothing, nor do logits that are kept",
  async ({ config }) => {
    const file = writeConfig({ config });
    const dtype = 'float64';
    const { model, weights, trained } = await openModel({ init: { config: file, seed: SEED } }, dtype);
    const { weights: referenceWeights } = await openModel({ init: { config: file, seed: SEED + 1 } }, dtype);
    const layout = layOut(trees, model);
    const scored = layout.sources.length;
    const { vocabularySize } = model.dimensions;
    const names = [...allScores, ...divergences];
    const results = [];
    for (const { rows, keeps } of [
      { rows: scored, keeps: false },
      { rows: scored, keeps: true },
      ...[1, 3, scored - 1].map((rows) => ({ rows, keeps: false })),
    ]) {
      const passes = new Passes({
        model,
        dtype,
        lora: [],
        trained,
        threads: 1,
        logitsAtOnce: rows * vocabularySize + 1,
      });
      const forward = await passes.forward(layout, { weights, adapter: true });
      const { hidden } = await passes.forward(layout, { weights: referenceWeights, adapter: true });
      const fitting = passes.heads.keepLogits(layout, names);
      expect(fitting !== undefined, 'logits are kept where they fit, and nowhere else').toBe(rows === scored);
      if (fitting !== undefined)
        expect(passes.heads.keepLogits(layout, names), 'beside others they do not').toBe(undefined);
      fitting?.release();
      const kept = keeps ? passes.heads.keepLogits(layout, names) : undefined;
      expect(kept !== undefined, 'what is given back can be kept again').toBe(keeps);
      const options = { temperature: 0.8, reference: { hidden, weights: referenceWeights }, kept };
      const scores = await passes.heads.score(forward, names, weights, options);
      const gradients = new Map(
        trained.map((name) => {
          const { shape, data } = weights.get(name)!;
          return [name, { shape, data: data.map(() => 0) }] as const;
        }),
      );
      const cotangents = new Map(
        names.map((name) => {
          const next = randomOf(`chunk/${name}`);
          return [name, Float64Array.from({ length: scored }, () => next() - 0.5)] as const;
        }),
      );
      const { dHidden } = await passes.heads.scoreVjp(forward, cotangents, weights, gradients, options);
      results.push([...scores.values(), dHidden, gradients.get(model.headWeight)!.data]);
      await passes.sessions.dispose();
    }
    const [whole, ...chunked] = results;
    expect(Math.max(...whole!.at(-1)!)).toBeGreaterThan(0.01);
    for (const result of chunked) {
      result.forEach((numbers, i) => {
        // The chi-squared divergences of these two models reach hundreds: in units of the largest number.
        const largest = Math.max(1, ...Array.from(whole![i]!, Math.abs));
        expect(distance(numbers, whole![i]!) / largest).toBeLessThan(1e-12);
      });
    }
  },
);
