import type { Model } from './architecture.js';
import { KelpieError } from './errors.js';
import { layOut } from './layout.js';
import type { FloatArray } from './parameters.js';
import type { Passes, Variant } from './passes.js';
import { logprobOf, pick } from './pick.js';
import { uniforms } from './random.js';
import type { Completion, SampleRequest } from './types.js';

/** A completion in progress. */
interface Row {
  readonly completion: Completion;
  readonly promptLength: number;
  readonly uniform: () => number;
  /** Prompt and completion so far. */
  readonly ids: number[];
}

/** Keys and values of the rows in progress: per layer [rows, kvHeads, capacity, headDim], written in place. */
interface Cache {
  capacity: number;
  layers: { keys: FloatArray; values: FloatArray }[];
}

/** Completions decoded side by side; more wait their turn. */
const ROWS_AT_ONCE = 64;
const CAPACITY_STEP = 64;

/**
 * Samples completions with a key-value cache. Each prompt is computed once, whatever the number of its completions.
 * A completion depends on the seed, its prompt's place and its own number alone, never on what it is decoded beside.
 */
export async function sample(
  passes: Passes,
  model: Model,
  variant: Variant,
  request: SampleRequest,
  signal?: AbortSignal,
): Promise<Completion[]> {
  const { prompts, completions = 1, seed = 0 } = request;
  const done: Completion[] = [];
  const promptsAtOnce = Math.max(1, Math.floor(ROWS_AT_ONCE / completions));
  for (let from = 0; from < prompts.length; from += promptsAtOnce) {
    const batch = prompts.slice(from, from + promptsAtOnce);
    const rows = batch.flatMap((ids, p) =>
      Array.from(
        { length: completions },
        (_, c): Row => ({
          completion: { prompt: from + p, ids: [], logprobs: new Float64Array(), ended: false },
          promptLength: ids.length,
          uniform: uniforms(seed, `sample/${from + p}/${c}`),
          ids: [...ids],
        }),
      ),
    );
    done.push(...(await decode(passes, model, variant, request, batch, rows, completions, signal)));
  }
  return done;
}

async function decode(
  passes: Passes,
  model: Model,
  variant: Variant,
  request: SampleRequest,
  prompts: readonly (readonly number[])[],
  rows: readonly Row[],
  completions: number,
  signal?: AbortSignal,
): Promise<Completion[]> {
  const { maxNewTokens, stop = [] } = request;
  const { contextLength, vocabularySize } = model.dimensions;
  // Learned positions end, though the newest token needs none until another follows it; rotations go on, as scoring does.
  const longest = model.rotary === undefined ? contextLength + 1 : Number.POSITIVE_INFINITY;
  const stops = new Set(stop);
  const logprobs = new Map(rows.map((row) => [row, [] as number[]]));
  const ended = new Set<Row>();
  const take = (row: Row, logits: FloatArray): boolean => {
    const id = pick(logits, request, row.uniform);
    const logprob = logprobOf(logits, id);
    if (!Number.isFinite(logprob)) {
      throw new KelpieError('the logits are not finite: the weights are damaged, or training diverged', {
        code: 'logits-not-finite',
        where: { prompt: row.completion.prompt, position: row.ids.length },
      });
    }
    logprobs.get(row)!.push(logprob);
    row.ids.push(id);
    row.completion.ids.push(id);
    if (stops.has(id)) ended.add(row);
    return !ended.has(row) && row.completion.ids.length < maxNewTokens && row.ids.length < longest;
  };

  let active = rows.filter((row) => maxNewTokens > 0 && row.ids.length < longest);
  if (active.length > 0) {
    const first = await fill(passes, model, variant, prompts);
    const logitsOf = (row: number) => first.logits.subarray(row * vocabularySize, (row + 1) * vocabularySize);
    const promptOf = new Map(rows.map((row, i) => [row, Math.floor(i / completions)]));
    active = active.filter((row) => take(row, logitsOf(promptOf.get(row)!)));
    let cache = gatherRows(
      first.cache,
      active.map((row) => promptOf.get(row)!),
      model,
    );
    while (active.length > 0) {
      signal?.throwIfAborted();
      const next = await advance(passes, model, variant, active, cache);
      cache = next.cache;
      const before = active;
      active = active.filter((row, i) => take(row, next.logits.subarray(i * vocabularySize, (i + 1) * vocabularySize)));
      if (active.length < before.length)
        cache = gatherRows(
          cache,
          active.map((row) => before.indexOf(row)),
          model,
        );
    }
  }
  return rows.map((row) => ({
    ...row.completion,
    logprobs: Float64Array.from(logprobs.get(row)!),
    ended: ended.has(row),
  }));
}

/** Logits behind each sequence, and a cache that holds all of its tokens. */
async function fill(
  passes: Passes,
  model: Model,
  variant: Variant,
  sequences: readonly (readonly number[])[],
): Promise<{ logits: FloatArray; cache: Cache }> {
  // One target behind the end makes the last token a source; which id it is does not matter.
  const trees = sequences.map((ids) => ({ trunk: [], branches: [{ ids: [...ids, 0], scoreFrom: ids.length }] }));
  const layout = layOut(
    trees,
    model,
    sequences.map((ids) => ids.length),
  );
  const { logits, present } = await passes.prefill(layout, variant);
  const { kvHeads, headDim } = model.dimensions;
  const capacity = roundUp(Math.max(...sequences.map((ids) => ids.length)) + 1);
  const cache = emptyCache(present[0]!.keys, model, sequences.length, capacity);
  sequences.forEach((ids, s) => {
    const { row, start } = layout.places[s]!;
    present.forEach((layer, l) => {
      for (let head = 0; head < kvHeads; head++) {
        const from = ((row * kvHeads + head) * layout.tokens + start) * headDim;
        const to = (s * kvHeads + head) * capacity * headDim;
        cache.layers[l]!.keys.set(layer.keys.subarray(from, from + ids.length * headDim), to);
        cache.layers[l]!.values.set(layer.values.subarray(from, from + ids.length * headDim), to);
      }
    });
  });
  return { logits, cache };
}

/** One token for every row: the newest id of each goes in, its keys and values join the cache. */
async function advance(
  passes: Passes,
  model: Model,
  variant: Variant,
  rows: readonly Row[],
  cache: Cache,
): Promise<{ logits: FloatArray; cache: Cache }> {
  const { rotary } = model;
  const lengths = rows.map((row) => row.ids.length - 1);
  if (
    rotary !== undefined &&
    rows.some((row) => rotary.classOf(row.ids.length) !== rotary.classOf(row.ids.length - 1))
  ) {
    // The angles of all earlier tokens change with the sequence's length: nothing cached is of use.
    return fill(
      passes,
      model,
      variant,
      rows.map((row) => row.ids),
    );
  }
  const { kvHeads, headDim } = model.dimensions;
  const room =
    Math.max(...lengths) < cache.capacity ? cache : resize(cache, rows.length, roundUp(cache.capacity + 1), model);
  const classes = [...new Map(rows.map((row) => [rotary?.classOf(row.ids.length) ?? '', row.ids.length])).entries()];
  const angleRows = roundUp(Math.max(...lengths) + 1);
  const { logits, present } = await passes.step(variant, {
    ids: rows.map((row) => row.ids.at(-1)!),
    positions: lengths,
    angles: rows.map(
      (row, i) =>
        classes.findIndex(([key]) => key === (rotary?.classOf(row.ids.length) ?? '')) * angleRows + lengths[i]!,
    ),
    lengths,
    angleLengths: classes.map(([, length]) => length),
    angleRows,
    capacity: room.capacity,
    cache: room.layers,
  });
  present.forEach((layer, l) => {
    for (let i = 0; i < rows.length * kvHeads; i++) {
      const to = (i * room.capacity + lengths[Math.floor(i / kvHeads)]!) * headDim;
      room.layers[l]!.keys.set(layer.keys.subarray(i * headDim, (i + 1) * headDim), to);
      room.layers[l]!.values.set(layer.values.subarray(i * headDim, (i + 1) * headDim), to);
    }
  });
  return { logits, cache: room };
}

function emptyCache(
  like: FloatArray,
  { dimensions: { layers, kvHeads, headDim } }: Model,
  rows: number,
  capacity: number,
): Cache {
  const make = () =>
    like instanceof Float64Array
      ? new Float64Array(rows * kvHeads * capacity * headDim)
      : new Float32Array(rows * kvHeads * capacity * headDim);
  return { capacity, layers: Array.from({ length: layers }, () => ({ keys: make(), values: make() })) };
}

/** The cache of the rows named, in that order; a row may be named often. */
function gatherRows(cache: Cache, rows: readonly number[], model: Model): Cache {
  if (rows.length === 0) return cache;
  const { kvHeads, headDim } = model.dimensions;
  const size = kvHeads * cache.capacity * headDim;
  const out = emptyCache(cache.layers[0]!.keys, model, rows.length, cache.capacity);
  cache.layers.forEach(({ keys, values }, l) => {
    rows.forEach((from, to) => {
      out.layers[l]!.keys.set(keys.subarray(from * size, (from + 1) * size), to * size);
      out.layers[l]!.values.set(values.subarray(from * size, (from + 1) * size), to * size);
    });
  });
  return out;
}

function resize(cache: Cache, rows: number, capacity: number, model: Model): Cache {
  const { kvHeads, headDim } = model.dimensions;
  const out = emptyCache(cache.layers[0]!.keys, model, rows, capacity);
  const block = cache.capacity * headDim;
  cache.layers.forEach(({ keys, values }, l) => {
    for (let i = 0; i < rows * kvHeads; i++) {
      out.layers[l]!.keys.set(keys.subarray(i * block, (i + 1) * block), i * capacity * headDim);
      out.layers[l]!.values.set(values.subarray(i * block, (i + 1) * block), i * capacity * headDim);
    }
  });
  return out;
}

function roundUp(length: number): number {
  return Math.ceil(length / CAPACITY_STEP) * CAPACITY_STEP;
}
