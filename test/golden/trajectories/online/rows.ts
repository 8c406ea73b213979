import { treeOf } from '@kelpie/policy';
import type { Example } from '@kelpie/runner';
import { type Fields, NotYet } from '../fields.js';

/** A recorded completion of a prompt. */
export interface Rollout {
  /** Nothing of it is scored where it was left out. */
  readonly example: Example;
  readonly prompt: readonly number[];
  readonly completion: readonly number[];
  /** By reward function. NaN: not judged. */
  readonly rewards: readonly number[];
  readonly advantage: number;
  /** Log-probabilities per token where recorded, of all tokens of the completion; of RLOO's old policy their sum. */
  readonly old: readonly number[] | number | undefined;
  readonly reference: readonly number[] | undefined;
}

export function rolloutsOf(rows: readonly Fields[]): Rollout[] {
  return rows.map((row, i) => {
    row.unused('text');
    const prompt = row.numbers('prompt');
    const completion = row.numbers('completion');
    const ids = [...prompt, ...completion];
    const scoreFrom = row.boolean('masked') ? ids.length : prompt.length;
    if (prompt.length === 0) throw new NotYet(`rows[${i}]: a rollout without a prompt does not exist yet`);
    const list = (name: string) => (row.has(name) ? row.nullable(name, row.numbers) : undefined);
    const read = {
      example: { id: `row ${i}`, tree: treeOf([{ ids, scoreFrom }]) },
      prompt,
      completion,
      rewards: row.judgements('rewards'),
      advantage: row.number('advantage'),
      old: row.has('old_logp') ? row.nullable('old_logp', row.number) : list('old_logps'),
      reference: list('ref_logps'),
    };
    row.requireAllRead();
    return read;
  });
}
