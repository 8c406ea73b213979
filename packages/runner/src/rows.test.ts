import { treeOf } from '@kelpie/policy';
import { describe, expect, it } from 'vitest';
import { join, splitCotangents } from './join.js';
import { type Part, partOf } from './rows.js';
import { tinyPairs } from './testing/tiny.js';

const examples = tinyPairs(5);
const logprobs = examples.map(({ tree }, i) =>
  tree.branches.map(({ ids, scoreFrom }, b) =>
    Float64Array.from({ length: tree.trunk.length + ids.length - scoreFrom }, (_, t) => 100 * i + 10 * b + t),
  ),
);
const rows = { examples, reference: { logprobs } };
const scoresFor = (part: Part) => ({ logprobs: part.reference.logprobs!.map((value) => 2 * value) });

describe('parts of a step', () => {
  it('join to what they would be as one, and split again', () => {
    const parts = [[3, 0], [4], [1, 2]].map((indices) => partOf('pairs', rows, indices));
    const whole = partOf('pairs', rows, [3, 0, 4, 1, 2]);
    const joined = join('pairs', parts, parts.map(scoresFor));
    expect(joined.part).toEqual(whole);
    expect(joined.scores).toEqual(scoresFor(whole));
    const slices = splitCotangents(joined.scores, joined.part, parts);
    expect(slices).toEqual(parts.map(scoresFor));
  });

  it('carry labels, rewards and groups of rows', () => {
    const tree = treeOf([
      { ids: [1, 2, 3], scoreFrom: 2 },
      { ids: [1, 2, 4], scoreFrom: 2 },
    ]);
    const judged = ['a', 'b'].map((id) => ({ id, tree, labels: [1, 0], rewards: [0.5, -1] }));
    const part = partOf('groups', { examples: judged, reference: {} }, [0, 1]);
    expect(part.perRow).toEqual({
      labels: Uint8Array.of(1, 0, 1, 0),
      rewards: Float64Array.of(0.5, -1, 0.5, -1),
      groups: Int32Array.of(0, 0, 1, 1),
    });
    expect(part.totals).toMatchObject({ rows: 4, groups: 2, scoredTokens: 4 });
    const twice = join('groups', [part, part], [{}, {}]);
    expect(twice.part.perRow.groups).toEqual(Int32Array.of(0, 0, 1, 1, 2, 2, 3, 3));
    expect(twice.part.totals.groups).toBe(4);
  });
});
