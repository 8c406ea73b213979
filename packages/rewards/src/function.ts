import { placeOf, RewardError, type RowFailure, rowsFailed, show } from './error.js';
import { interrupter } from './interruptible.js';
import { inParallel, TimeoutError, within } from './parallel.js';
import { failureOf, leaf, type Reward, type RewardRow } from './reward.js';
import { besideBusy, guarded, interruptions } from './watchdog.js';

/** The reward of one row. */
export type RowFunction = (row: RewardRow, options: { readonly signal: AbortSignal }) => number | Promise<number>;

/** The rewards of all rows, in their order. */
export type BatchFunction = (
  rows: readonly RewardRow[],
  options: { readonly signal: AbortSignal },
) => ArrayLike<number> | Promise<ArrayLike<number>>;

export interface FunctionOptions {
  readonly name: string;
  /** A call that takes longer fails. Default 60,000. A loop behind an `await` is interrupted after twice as long, or 2 s more. */
  readonly timeoutMs?: number;
  /** Whether it may answer NaN: not judged. Default false. */
  readonly abstains?: boolean;
}

/**
 * A function of one row. What it throws is the row's failure; the other rows are still asked, so that all are told. Only a
 * row that takes too long ends the call at once.
 */
export function rowReward(
  judgeRow: RowFunction,
  { name, timeoutMs = 60_000, abstains = false, concurrency = 8 }: FunctionOptions & { readonly concurrency?: number },
): Reward {
  const interruptible = interrupter(timeoutMs);
  return leaf({
    name,
    abstains,
    async judge(rows, { signal }) {
      const failures: RowFailure[] = [];
      const underWay = new Set<number>();
      const before = interruptions();
      /** The row whose time is up; where something was interrupted, all that may have been it. */
      const timedOut = (at: number, error: TimeoutError): readonly RowFailure[] =>
        interruptions() === before
          ? [failureOf(rows[at]!, at, error)]
          : [...underWay].map((row) => ({ ...failureOf(rows[row]!, row, error), message: besideBusy(error) }));
      const rewards = await inParallel(rows, concurrency, signal, async (row, at, aborted) => {
        underWay.add(at);
        try {
          return await within({ timeoutMs, signal: aborted }, (stop) => {
            const call = { reward: name, rows: placeOf([failureOf(row, at, undefined)]), timeoutMs };
            return guarded(
              call,
              interruptible(() => judgeRow(row, { signal: stop })),
            );
          });
        } catch (error) {
          aborted.throwIfAborted();
          if (error instanceof TimeoutError) throw rowsFailed(name, [...failures, ...timedOut(at, error)], rows.length);
          failures.push(failureOf(row, at, error));
          return Number.NaN;
        } finally {
          underWay.delete(at);
        }
      });
      if (failures.length > 0) throw rowsFailed(name, failures, rows.length);
      return { rewards };
    },
  });
}

/** A function of all rows at once. */
export function batchReward(
  judgeRows: BatchFunction,
  { name, timeoutMs = 60_000, abstains = false }: FunctionOptions,
): Reward {
  const interruptible = interrupter(timeoutMs);
  return leaf({
    name,
    abstains,
    judge: async (rows, { signal }) => ({
      rewards: await within({ timeoutMs, signal }, (stop) => {
        const call = { reward: name, rows: placeOf(rows.map((row, at) => failureOf(row, at, undefined))), timeoutMs };
        return guarded(
          call,
          interruptible(() => judgeRows(rows, { signal: stop })),
        );
      }),
    }),
  });
}

/** What a user's file exports as a reward: a function of one row, or a `Reward`, as `batchReward` makes it. */
export function asReward(exported: unknown, options: FunctionOptions): Reward {
  if (typeof exported === 'function') return rowReward(exported as RowFunction, options);
  if (isReward(exported)) return exported;
  throw new RewardError(
    `reward \`${options.name}\`: expected a function of a row, or what \`batchReward\` gives, got ${show(exported)}.`,
    { code: 'bad-option', reward: options.name },
  );
}

export function isReward(value: unknown): value is Reward {
  if (typeof value !== 'object' || value === null) return false;
  const { name, parts, judge, dispose } = value as Partial<Reward>;
  return typeof name === 'string' && Array.isArray(parts) && [judge, dispose].every((m) => typeof m === 'function');
}
