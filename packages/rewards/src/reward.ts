import type { RunningMoments } from '@kelpie/objectives';
import { messageOf } from '@kelpie/policy';
import { RewardError, type RowFailure, rowsFailed, show } from './error.js';
import { inParallel, unlessAborted } from './parallel.js';

/** A completion that is to be judged. */
export interface RewardRow {
  readonly prompt: string;
  /** Without the end token's text. */
  readonly completion: string;
  /** The completion's token ids, the end token included where it ended with one. */
  readonly ids: ArrayLike<number>;
  /** Whether it ended by its end token, rather than being cut off. */
  readonly ended: boolean;
  /** The fields of the row it was sampled for: `answer`, `id` ... */
  readonly meta: Readonly<Record<string, unknown>>;
}

/** What running transformations have seen so far, by their name. A value, plain JSON: a checkpoint keeps it. */
export type RewardState = Readonly<Record<string, RunningMoments>>;

export interface JudgeOptions {
  readonly signal?: AbortSignal;
  /** What the last call gave back; absent at the start. */
  readonly state?: RewardState;
}

export interface Judged {
  /** [rows], in the order of the rows. NaN: not judged, only where the reward `abstains`. */
  readonly rewards: Float64Array;
  /** [rows] each, by name: the reward itself, and everything it was made of. */
  readonly parts: Readonly<Record<string, Float64Array>>;
  /** For the next call. Whoever judges held-out rows drops it. */
  readonly state: RewardState;
}

/** What says how good completions are. Take one from `sources/`, or make one with `rowReward` or `batchReward`. */
export interface Reward {
  readonly name: string;
  /** The names that `parts` will have, its own among them, last. */
  readonly parts: readonly string[];
  /** Whether it may leave a row unjudged, as NaN. */
  readonly abstains: boolean;
  /** Of the weights and files behind it: with its options, all that decides on its numbers. Absent where there are none. */
  readonly hash?: string;
  /** A row that cannot be judged rejects with a `RewardError` that names it. An aborted call rejects with the reason. */
  judge(rows: readonly RewardRow[], options?: JudgeOptions): Promise<Judged>;
  /** Lets go of models and what else is held. */
  dispose(): Promise<void>;
}

export interface LeafDefinition {
  readonly name: string;
  /** Names of further parts it gives, without its own. */
  readonly parts?: readonly string[];
  readonly abstains?: boolean;
  readonly hash?: string;
  judge(rows: readonly RewardRow[], options: { readonly signal: AbortSignal }): Promise<Values>;
  dispose?(): Promise<void>;
}

interface Values {
  readonly rewards: ArrayLike<number>;
  readonly parts?: Readonly<Record<string, ArrayLike<number>>>;
}

/** A reward that reads rows. What it gives is checked: one finite number a row, or NaN where it may abstain. */
export function leaf({ name, parts = [], abstains = false, hash, judge, dispose }: LeafDefinition): Reward {
  return {
    name,
    abstains,
    ...(hash !== undefined && { hash }),
    parts: distinct(name, [...parts, name]),
    dispose: async () => dispose?.(),
    async judge(rows, { signal = new AbortController().signal, state = {} } = {}) {
      signal.throwIfAborted();
      if (rows.length === 0) return { rewards: new Float64Array(), parts: emptyParts([...parts, name]), state };
      const values = await allRows(name, rows, signal, () => unlessAborted(signal, () => judge(rows, { signal })));
      const own = checked(name, rows, values.rewards, abstains);
      const others = parts.map((part) => [part, checked(part, rows, values.parts?.[part] ?? [], abstains)] as const);
      return { rewards: own, parts: { ...Object.fromEntries(others), [name]: own }, state };
    },
  };
}

/** Whatever is thrown becomes an error of all rows, unless it says its rows itself. */
async function allRows<T>(
  name: string,
  rows: readonly RewardRow[],
  signal: AbortSignal,
  run: () => Promise<T>,
): Promise<T> {
  try {
    return await run();
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof RewardError) throw error;
    throw rowsFailed(
      name,
      rows.map((row, at) => failureOf(row, at, error)),
      rows.length,
    );
  }
}

export function failureOf({ meta }: RewardRow, row: number, error: unknown): RowFailure {
  const id = typeof meta.id === 'string' || typeof meta.id === 'number' ? String(meta.id) : undefined;
  return { row, ...(id !== undefined && { id }), message: messageOf(error), cause: error };
}

function checked(name: string, rows: readonly RewardRow[], values: ArrayLike<number>, abstains: boolean): Float64Array {
  if (values?.length !== rows.length) {
    const received = values?.length === undefined ? show(values) : `${values.length}`;
    throw new RewardError(`reward \`${name}\`: expected ${rows.length} numbers, one a row, got ${received}.`, {
      code: 'wrong-count',
      reward: name,
    });
  }
  const failures = rows.flatMap((row, at) => {
    const value: unknown = values[at];
    if (Number.isFinite(value) || (abstains && Number.isNaN(value))) return [];
    return [failureOf(row, at, new TypeError(`expected a finite number, got ${show(value)}`))];
  });
  if (failures.length > 0) throw rowsFailed(name, failures, rows.length);
  return Float64Array.from(values);
}

export interface DerivedDefinition {
  readonly name: string;
  readonly members: readonly Reward[];
  /** Names of further parts it gives, without its own and its members'. */
  readonly parts?: readonly string[];
  readonly abstains?: boolean;
  combine(members: readonly Float64Array[], given: Given): DerivedValues;
}

export interface Given {
  readonly rows: readonly RewardRow[];
  readonly state: RewardState;
}

interface DerivedValues {
  readonly rewards: Float64Array;
  readonly parts?: Readonly<Record<string, Float64Array>>;
  readonly state?: RewardState;
}

/** A reward that is made of others. Their values stay beside its own in `parts`. */
export function derived({ name, members, parts = [], combine, ...rest }: DerivedDefinition): Reward {
  const names = distinct(name, [...members.flatMap((member) => member.parts), ...parts, name]);
  const abstains = rest.abstains ?? members.some((member) => member.abstains);
  const hashes = members.flatMap(({ hash }) => hash ?? []);
  return {
    name,
    abstains,
    ...(hashes.length > 0 && { hash: hashes.join() }),
    parts: names,
    dispose: async () => void (await Promise.all(members.map((member) => member.dispose()))),
    async judge(rows, { signal, state = {} } = {}) {
      const judged = await inParallel(members, members.length, signal, (member, _, aborted) =>
        member.judge(rows, { signal: aborted, state }),
      );
      if (rows.length === 0) return { rewards: new Float64Array(), parts: emptyParts(names), state };
      const seen = { ...state, ...Object.assign({}, ...judged.map((member) => changes(state, member.state))) };
      const own = combine(
        judged.map(({ rewards }) => rewards),
        { rows, state },
      );
      const rewards = checked(name, rows, own.rewards, abstains);
      const given = Object.assign({}, ...judged.map((member) => member.parts), own.parts) as Judged['parts'];
      return { rewards, parts: { ...given, [name]: rewards }, state: { ...seen, ...own.state } };
    },
  };
}

/** What a member has added to the state it was given; what another one has changed is not its to give back. */
function changes(before: RewardState, after: RewardState): RewardState {
  return Object.fromEntries(Object.entries(after).filter(([name, moments]) => before[name] !== moments));
}

function distinct(name: string, parts: readonly string[]): readonly string[] {
  const twice = parts.find((part, at) => parts.indexOf(part) !== at);
  if (twice === undefined) return parts;
  throw new RewardError(`reward \`${name}\`: two parts are called \`${twice}\`. Give one of them another \`name\`.`, {
    code: 'same-name',
    reward: name,
  });
}

const emptyParts = (names: readonly string[]): Judged['parts'] =>
  Object.fromEntries(names.map((name) => [name, new Float64Array()]));
