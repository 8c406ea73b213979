import type { Model, Rotary } from './architecture.js';
import { rowCost } from './row-cost.js';
import type { Branch, TokenTree } from './tree.js';

/** Token rows as a sequence graph takes them, and the list of what counts. */
export interface Layout {
  readonly rows: number;
  readonly tokens: number;
  /** [rows, tokens]; padding holds 0. */
  readonly ids: BigInt64Array;
  /** [rows, tokens]: places from the path's beginning; padding holds 0. */
  readonly positions: BigInt64Array;
  /** [rows, tokens]: the row slot behind the last token of a token's subtree. Padding sees itself alone. */
  readonly ends: Int32Array;
  /** [rows, tokens]: rows of the rotary tables. */
  readonly angles: BigInt64Array;
  /** The lengths whose angle classes the tables hold, in order; each takes `angleRows` rows. */
  readonly angleLengths: readonly number[];
  readonly angleRows: number;
  /** [scored]: slot (row * tokens + column) whose hidden state predicts the target. */
  readonly sources: Int32Array;
  /** [scored] */
  readonly targets: BigInt64Array;
  /** Scored tokens of each completion, in order: the scored list is theirs, one after the other. */
  readonly counts: readonly number[];
  /** Where each tree stands, in order, as far as none had to be split. */
  readonly places: readonly { readonly row: number; readonly start: number }[];
}

/** Tables of angles are kept by size: sizes come in steps. */
const ANGLE_STEP = 64;

/** What of a model a layout depends on. */
export type LayoutModel = Partial<Pick<Model, 'rotary' | 'dimensions'>>;

/** A tree as it stands in a row: its completions keep their places in the batch's order. */
interface Placed {
  readonly tree: TokenTree;
  /** Index of each branch among the batch's completions. */
  readonly completions: readonly number[];
  readonly length: number;
}

/**
 * Lays trees out in rows: a tree depth-first (trunk, then each branch), short trees together in a row as far as it
 * holds them, first fit by falling length. Padding is what is left behind the last tree of a row. The last token of a
 * branch is only ever predicted, and is left out. A tree of many branches on a short trunk is cut into several where that
 * costs less (see `rowCost`): each has the trunk.
 *
 * @param lengths of the sequences that decide on rotary angles, where they are not the trees' own (a prefill).
 */
export function layOut(
  trees: readonly TokenTree[],
  { rotary, dimensions }: LayoutModel = {},
  lengths?: readonly number[],
): Layout {
  // Only the end of a trunk that is itself a whole path can lie behind the learned positions; nothing is read from there.
  const lastPosition =
    rotary === undefined && dimensions !== undefined ? dimensions.contextLength - 1 : Number.MAX_SAFE_INTEGER;
  const { placed, tokens, rowOf, startOf, rows } = cheapest(place(trees, rotary), dimensions);

  const size = rows * tokens;
  const ids = new BigInt64Array(size);
  const positions = new BigInt64Array(size);
  const angles = new BigInt64Array(size);
  const ends = new Int32Array(size);
  for (let i = 0; i < size; i++) ends[i] = (i % tokens) + 1;

  const classes = new Map<string, { index: number; length: number }>();
  // At least a row's length, which ONNX Runtime's kernel takes for the longest sequence.
  const angleRows =
    Math.ceil(placed.reduce((n, { tree }) => Math.max(n, longestPath(tree)), tokens) / ANGLE_STEP) * ANGLE_STEP;
  const counts: number[] = [];
  const lists: { sources: number[]; targets: number[] }[] = [];
  placed.forEach(({ tree, completions, length }, i) => {
    const base = rowOf[i]! * tokens + startOf[i]!;
    const end = startOf[i]! + length;
    const classLength = lengths?.[i] ?? longestPath(tree);
    const key = rotary?.classOf(classLength) ?? '';
    const known = classes.get(key) ?? { index: classes.size, length: classLength };
    classes.set(key, known);
    const put = (slot: number, id: number, position: number, stop: number) => {
      ids[slot] = BigInt(id);
      positions[slot] = BigInt(Math.min(position, lastPosition));
      angles[slot] = BigInt(known.index * angleRows + position);
      ends[slot] = stop;
    };
    for (const [t, id] of tree.trunk.entries()) put(base + t, id, t, end);
    let at = tree.trunk.length;
    tree.branches.forEach((branch, b) => {
      const slots = slotsOfBranch(branch);
      const stop = startOf[i]! + at + slots;
      const branchAt = at;
      for (const [t, id] of branch.ids.slice(0, slots).entries())
        put(base + branchAt + t, id, tree.trunk.length + t, stop);
      const slotOf = (position: number) =>
        base + (position < tree.trunk.length ? position : branchAt + position - tree.trunk.length);
      const sources: number[] = [];
      const targets: number[] = [];
      const pathLength = tree.trunk.length + branch.ids.length;
      for (let position = branch.scoreFrom; position < pathLength; position++) {
        sources.push(slotOf(position - 1));
        targets.push(position < tree.trunk.length ? tree.trunk[position]! : branch.ids[position - tree.trunk.length]!);
      }
      counts[completions[b]!] = sources.length;
      lists[completions[b]!] = { sources, targets };
      at += slots;
    });
  });

  return {
    rows,
    tokens,
    ids,
    positions,
    ends,
    angles,
    angleLengths: [...classes.values()].map(({ length }) => length),
    angleRows,
    sources: Int32Array.from(lists.flatMap(({ sources }) => sources)),
    targets: BigInt64Array.from(lists.flatMap(({ targets }) => targets.map(BigInt))),
    counts,
    places: placed.map((_, i) => ({ row: rowOf[i]!, start: startOf[i]! })),
  };
}

function longestPath({ trunk, branches }: TokenTree): number {
  return trunk.length + branches.reduce((n, { ids }) => Math.max(n, ids.length), 0);
}

/** Trees whose branches take different angles are split into plain rows: they share nothing but their ids. */
function place(trees: readonly TokenTree[], rotary?: Rotary): Placed[] {
  let next = 0;
  const placed: Placed[] = [];
  for (const tree of trees) {
    const completions = tree.branches.map(() => next++);
    const classes = new Set(tree.branches.map(({ ids }) => rotary?.classOf(tree.trunk.length + ids.length) ?? ''));
    if (classes.size <= 1) placed.push(sized(tree, completions));
    else {
      tree.branches.forEach(({ ids, scoreFrom }, b) => {
        placed.push(sized({ trunk: [], branches: [{ ids: [...tree.trunk, ...ids], scoreFrom }] }, [completions[b]!]));
      });
    }
  }
  return placed;
}

function sized(tree: TokenTree, completions: readonly number[]): Placed {
  const length = tree.trunk.length + tree.branches.reduce((n, branch) => n + slotsOfBranch(branch), 0);
  return { tree, completions, length };
}

/** The last token of a path is predicted and predicts nothing: it takes no slot. */
function slotsOfBranch({ ids }: Branch): number {
  return Math.max(0, ids.length - 1);
}

interface Packed {
  readonly placed: readonly Placed[];
  readonly tokens: number;
  readonly rowOf: readonly number[];
  readonly startOf: readonly number[];
  readonly rows: number;
}

/** The cheapest of: trees as they are; none longer than the longest with 1, 2, 4 ... branches. */
function cheapest(whole: readonly Placed[], dimensions: LayoutModel['dimensions']): Packed {
  let best = pack(whole);
  const most = whole.reduce((n, { tree }) => Math.max(n, tree.branches.length), 0);
  if (dimensions === undefined) return best;
  for (let branches = 1; branches < most; branches *= 2) {
    const longest = whole.reduce((n, { tree }) => Math.max(n, lengthWith(tree, branches)), 0);
    const packed = pack(whole.flatMap((placed) => piecesOf(placed, longest)));
    if (rowCost(packed, dimensions) < rowCost(best, dimensions)) best = packed;
  }
  return best;
}

/** Slots of the trunk and its longest branches, so many of them. */
function lengthWith({ trunk, branches }: TokenTree, count: number): number {
  const longest = branches.map(slotsOfBranch).sort((a, b) => b - a);
  return longest.slice(0, count).reduce((sum, slots) => sum + slots, trunk.length);
}

/** Pieces of at most `longest` slots, each with the trunk and some branches, in order. */
function piecesOf(placed: Placed, longest: number): Placed[] {
  if (placed.length <= longest) return [placed];
  const { trunk, branches } = placed.tree;
  const pieces: { branches: Branch[]; completions: number[]; slots: number }[] = [];
  branches.forEach((branch, b) => {
    const slots = slotsOfBranch(branch);
    let piece = pieces.at(-1);
    if (piece === undefined || trunk.length + piece.slots + slots > longest) {
      piece = { branches: [], completions: [], slots: 0 };
      pieces.push(piece);
    }
    piece.branches.push(branch);
    piece.completions.push(placed.completions[b]!);
    piece.slots += slots;
  });
  return pieces.map(({ branches, completions }) => sized({ trunk, branches }, completions));
}

function pack(placed: readonly Placed[]): Packed {
  const tokens = placed.reduce((longest, { length }) => Math.max(longest, length), 1);
  const order = placed.map((_, i) => i).sort((a, b) => placed[b]!.length - placed[a]!.length || a - b);
  const used: number[] = [];
  const rowOf: number[] = [];
  const startOf: number[] = [];
  for (const i of order) {
    const { length } = placed[i]!;
    let row = used.findIndex((n) => n + length <= tokens);
    if (row < 0) row = used.push(0) - 1;
    rowOf[i] = row;
    startOf[i] = used[row]!;
    used[row] = used[row]! + length;
  }
  return { placed, tokens, rowOf, startOf, rows: Math.max(1, used.length) };
}
