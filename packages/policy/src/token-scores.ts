import { KelpieError } from './errors.js';
import type { Cotangents, ScoreName, TokenScores } from './types.js';

/** Scores of the scored list -> [rows, tokens], left-aligned. */
export function unpack(counts: readonly number[], flat: ReadonlyMap<ScoreName, Float64Array>): TokenScores {
  const rows = counts.length;
  const tokens = counts.reduce((n, count) => Math.max(n, count), 0);
  const completionMask = new Uint8Array(rows * tokens);
  const out: { [Name in ScoreName]?: Float64Array } = {};
  for (const name of flat.keys()) out[name] = new Float64Array(rows * tokens);
  let from = 0;
  counts.forEach((count, row) => {
    completionMask.fill(1, row * tokens, row * tokens + count);
    for (const [name, values] of flat) out[name]!.set(values.subarray(from, from + count), row * tokens);
    from += count;
  });
  return { rows, tokens, completionMask, ...out };
}

/** Cotangents [rows, tokens] -> the scored list. */
export function flatten(
  counts: readonly number[],
  asked: readonly ScoreName[],
  cotangents: Cotangents,
): Map<ScoreName, Float64Array> {
  const rows = counts.length;
  const tokens = counts.reduce((n, count) => Math.max(n, count), 0);
  const out = new Map<ScoreName, Float64Array>();
  const scored = counts.reduce((a, b) => a + b, 0);
  for (const [name, values] of Object.entries(cotangents) as [ScoreName, Float64Array | undefined][]) {
    if (values === undefined) continue;
    if (!asked.includes(name)) {
      throw new KelpieError(`a cotangent of \`${name}\` came, which was not among the scores asked for`, {
        code: 'cotangent-unasked',
      });
    }
    if (values.length !== rows * tokens) {
      throw new KelpieError(
        `the cotangent of \`${name}\` has ${values.length} entries, the scores have ${rows} x ${tokens}`,
        { code: 'cotangent-shape' },
      );
    }
    const flat = new Float64Array(scored);
    let from = 0;
    counts.forEach((count, row) => {
      flat.set(values.subarray(row * tokens, row * tokens + count), from);
      from += count;
    });
    const bad = flat.findIndex((x) => !Number.isFinite(x));
    if (bad >= 0)
      throw new KelpieError(`the cotangent of \`${name}\` is ${flat[bad]} at scored token ${bad}`, {
        code: 'cotangent-not-finite',
      });
    out.set(name, flat);
  }
  return out;
}
