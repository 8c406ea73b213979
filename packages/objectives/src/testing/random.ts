import type { Needs, ObjectiveInput, RowKind, ScoredBatch, ScoreName, Scores } from '../input.js';
import type { Objective } from '../objective.js';

/** Uniform in (0, 1). */
export type Random = () => number;

/** mulberry32: a small generator, the same numbers everywhere from one seed. */
export function seeded(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (((mixed ^ (mixed >>> 14)) >>> 0) + 0.5) / 2 ** 32;
  };
}

/** Rows that stand together: a pair, a group of three, one row. */
export const unitRows: Readonly<Record<RowKind, number>> = { single: 1, pairs: 2, unpaired: 1, groups: 3 };

/** Plausible numbers of each score; of a score not named here, a divergence, anything in (0, 0.5). */
const draws: { readonly [Name in ScoreName]?: (random: Random) => number } = {
  logprobs: (random) => -0.05 - 3 * random(),
  entropy: (random) => 3 * random(),
  forwardKl: (random) => 0.5 * random(),
  reverseKl: (random) => 0.5 * random(),
  logSumSquares: (random) => -2 * random(),
  values: (random) => 2 * random() - 1,
};

/** Random rows with everything `needs` asks for: lengths from 1 to `tokens`, now and then a hole in the mask. */
export function randomInput(
  { rows: kind }: Pick<Objective, 'rows'>,
  needs: Needs,
  random: Random,
  { units = 4, tokens = 5 }: { readonly units?: number; readonly tokens?: number } = {},
): ObjectiveInput {
  const rows = units * unitRows[kind];
  const cells = rows * tokens;
  const draw = (make: (random: Random) => number, length = cells) => Float64Array.from({ length }, () => make(random));
  const signed = () => 2 * random() - 1;
  return {
    rows,
    tokens,
    completionMask: randomMask(rows, tokens, random),
    policy: randomScores(needs.policy, cells, random),
    reference: randomScores(needs.reference, cells, random),
    old: randomScores(needs.old ?? [], cells, random),
    perRow: {
      labels: Uint8Array.from({ length: rows }, (_, row) => row % 2),
      groups: Int32Array.from({ length: rows }, (_, row) => Math.floor(row / unitRows[kind])),
      rewards: draw(signed, rows),
      densityRatios: draw((next) => 4 * next(), rows),
      ranks: Int32Array.from({ length: rows }, (_, row) => (2 * row) % 3),
      external: Uint8Array.from({ length: rows }, (_, row) => (row % 3 < 2 ? 1 : 0)),
      margins: draw(signed, rows),
      targetLogScores: draw((next) => -4 * next(), rows),
    },
    perToken: {
      advantages: draw(signed),
      returns: draw(signed),
      rewardWeights: draw((next) => 2 * next()),
      klWeights: draw((next) => 2 * next()),
      promptTokens: Float64Array.from({ length: cells }, (_, at) => (at % tokens < 2 ? 1 : 0)),
      behaviourLogprobs: Float64Array.from({ length: cells }, (_, at) => -0.1 - (at % 4) / 2),
    },
    batches: Object.fromEntries((needs.batches ?? []).map((name) => [name, randomBatch(needs, random)])),
  };
}

function randomBatch(needs: Needs, random: Random): ScoredBatch {
  const [rows, tokens] = [4, 3];
  return {
    rows,
    tokens,
    completionMask: randomMask(rows, tokens, random),
    policy: randomScores(needs.policy, rows * tokens, random),
    reference: randomScores(needs.reference, rows * tokens, random),
  };
}

function randomScores(names: readonly ScoreName[], length: number, random: Random): Scores {
  const of = (name: ScoreName) => draws[name] ?? ((next: Random) => 0.5 * next());
  return Object.fromEntries(names.map((name) => [name, Float64Array.from({ length }, () => of(name)(random))]));
}

function randomMask(rows: number, tokens: number, random: Random): Uint8Array {
  const lengths = Array.from({ length: rows }, () => 1 + Math.floor(random() * tokens));
  return Uint8Array.from({ length: rows * tokens }, (_, at) => {
    const token = at % tokens;
    const inside = token < lengths[Math.floor(at / tokens)]!;
    return inside && (token === 0 || random() > 0.1) ? 1 : 0;
  });
}

/** Options inside their declared ranges. */
export function randomOptions(objective: Objective, random: Random): Record<string, unknown> {
  const drawn = objective
    .describeOptions()
    .flatMap(({ name, type, values, min, max, default: preset }): [string, unknown][] => {
      if (values) return [[name, values[Math.floor(random() * values.length)]]];
      if (type === 'boolean') return [[name, random() < 0.5]];
      if (type !== 'number' && type !== 'integer') return [];
      const center = typeof preset === 'number' ? preset : 0;
      const low = min ?? (max === undefined ? center - 1 : Math.min(center, max) - 1);
      const high = max ?? Math.max(center, low) + 1;
      const value = low + (0.05 + 0.9 * random()) * (high - low);
      return [[name, type === 'integer' ? Math.ceil(value) : value]];
    });
  return Object.fromEntries(drawn);
}
