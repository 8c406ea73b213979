/**
 * One prompt with its completions, as token ids. What all sequences share is computed once: the trunk is the longest
 * common prefix of the ids (never "the prompt": tokenizers merge across the boundary). A plain row is a tree with one
 * branch. A *path* is the trunk followed by one branch; path positions count from 0.
 */
export interface TokenTree {
  readonly trunk: readonly number[];
  readonly branches: readonly Branch[];
}

export interface Branch {
  /** Ids after the trunk; may be empty when one sequence is a prefix of another. */
  readonly ids: readonly number[];
  /**
   * First path position that counts; the token at path position p is scored given positions 0 .. p-1, so it is at least
   * 1. It may lie inside the trunk. Positions from here to the end of the path are the completion.
   */
  readonly scoreFrom: number;
}

/** A whole sequence before sharing: ids, and the first position that counts. */
export interface Sequence {
  readonly ids: readonly number[];
  readonly scoreFrom: number;
}

/** Joins sequences on their longest common prefix of ids. Order of branches = order of sequences. */
export function treeOf(sequences: readonly Sequence[]): TokenTree {
  const [first, ...rest] = sequences;
  if (first === undefined) return { trunk: [], branches: [] };
  let shared = first.ids.length;
  for (const { ids } of rest) {
    let i = 0;
    while (i < shared && i < ids.length && ids[i] === first.ids[i]) i++;
    shared = i;
  }
  if (rest.length === 0) shared = 0;
  return {
    trunk: first.ids.slice(0, shared),
    branches: sequences.map(({ ids, scoreFrom }) => ({ ids: ids.slice(shared), scoreFrom })),
  };
}

/** Every branch as a whole sequence again. */
export function pathsOf(tree: TokenTree): Sequence[] {
  return tree.branches.map(({ ids, scoreFrom }) => ({ ids: [...tree.trunk, ...ids], scoreFrom }));
}

/** Scored tokens of a branch. */
export function scoredTokens(tree: TokenTree, branch: Branch): number {
  return Math.max(0, tree.trunk.length + branch.ids.length - branch.scoreFrom);
}
