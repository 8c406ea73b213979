import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Policy } from '@kelpie/policy';
import { describe, expect, it } from 'vitest';
import { type ReferenceOptions, referenceScores } from './reference.js';
import { altered, scratch, tinyPairs, tinyPolicy } from './testing/tiny.js';

const place = scratch();

/** Counts the batches that are really scored. */
async function counting() {
  const policy = await tinyPolicy(place('model'));
  const counted = { calls: 0 };
  const score: Policy['score'] = (request) => {
    counted.calls++;
    return policy.score(request);
  };
  return { policy: altered(policy, { score }), counted };
}

async function run(folder: string, more: Partial<ReferenceOptions> = {}) {
  const { policy, counted } = await counting();
  const warnings: string[] = [];
  const progress: string[] = [];
  const table = await referenceScores({
    policy,
    examples: tinyPairs(10),
    scores: ['logprobs'],
    tokenizerHash: 'abc',
    folder,
    onWarning: (message) => warnings.push(message),
    onProgress: ({ done, total, cached }) => progress.push(`${done}/${total}${cached ? ' cached' : ''}`),
    ...more,
  });
  return { table, warnings, progress, calls: counted.calls };
}

const fileIn = (folder: string) => join(folder, readdirSync(folder)[0]!);

describe('reference scores', () => {
  it('are those of the policy, by example and branch', async () => {
    const policy = await tinyPolicy(place('model'));
    const { table } = await run(place('plain'));
    for (const [i, { tree }] of tinyPairs(10).entries()) {
      const { tokens, logprobs } = await policy.score({ trees: [tree], scores: ['logprobs'] });
      tree.branches.forEach((branch, b) => {
        const found = table.logprobs![i]![b]!;
        expect(found.length).toBe(tree.trunk.length + branch.ids.length - branch.scoreFrom);
        found.forEach((value, t) => {
          expect(value).toBeCloseTo(logprobs![b * tokens + t]!, 5);
        });
      });
    }
  });

  it('are computed once, and read the next time', async () => {
    const first = await run(place('once'));
    const second = await run(place('once'));
    expect(first).toMatchObject({ calls: 1, progress: ['10/10'], warnings: [] });
    expect(second).toMatchObject({ calls: 0, progress: ['10/10 cached'], warnings: [] });
    expect(second.table).toEqual(first.table);
  });

  it('of other rows, another tokenizer or a temperature are computed anew, and it is said', async () => {
    const folder = place('stale');
    await run(folder);
    const others: [Partial<ReferenceOptions>, string][] = [
      [{ examples: tinyPairs(9) }, 'dataset'],
      [{ tokenizerHash: 'abd' }, 'tokenizer'],
      [{ temperature: 0.5 }, 'temperature'],
      [{ scores: ['entropy', 'logprobs'] }, 'set of scores'],
    ];
    for (const [other, what] of others) {
      const { calls, warnings } = await run(folder, other);
      expect(calls).toBe(1);
      expect(warnings).toEqual([`the cached reference scores are of another ${what}: they are computed anew`]);
    }
  });

  it('of another reference model are computed anew', async () => {
    const folder = place('other-reference');
    await run(folder);
    const policy = await tinyPolicy(place('same-policy'));
    const other = altered(policy, { info: { ...policy.info, referenceHash: 'another' } });
    const { warnings } = await run(folder, { policy: other });
    expect(warnings).toEqual(['the cached reference scores are of another model: they are computed anew']);
  });

  it('that are damaged on disk are computed anew, and mended', async () => {
    const folder = place('damaged');
    const { table } = await run(folder);
    const file = fileIn(folder);
    const whole = readFileSync(file);
    const flipped = Buffer.from(whole);
    flipped[flipped.length - 3]! ^= 1;
    for (const bytes of [flipped, whole.subarray(0, -8), Buffer.from('{}\n'), Buffer.from('')]) {
      writeFileSync(file, bytes);
      const found = await run(folder);
      expect(found.calls).toBe(1);
      expect(found.warnings).toHaveLength(1);
      expect(found.table).toEqual(table);
      expect(readFileSync(file).equals(whole)).toBe(true);
    }
    rmSync(file);
    expect((await run(folder)).warnings).toEqual([]);
  });

  it('stop between batches', async () => {
    await expect(run(place('aborted'), { signal: AbortSignal.abort() })).rejects.toThrow();
    expect(() => readdirSync(place('aborted'))).toThrow();
  });
});
