import { expect, test } from 'vitest';
import { pathsOf, scoredTokens, treeOf } from './tree.js';

test('the trunk is the longest common prefix of the ids', () => {
  const tree = treeOf([
    { ids: [1, 2, 3, 4], scoreFrom: 3 },
    { ids: [1, 2, 5], scoreFrom: 2 },
  ]);
  expect(tree.trunk).toEqual([1, 2]);
  expect(tree.branches).toEqual([
    { ids: [3, 4], scoreFrom: 3 },
    { ids: [5], scoreFrom: 2 },
  ]);
  expect(tree.branches.map((branch) => scoredTokens(tree, branch))).toEqual([1, 1]);
});

test('a sequence that is a prefix of another leaves an empty branch', () => {
  const tree = treeOf([
    { ids: [1, 2], scoreFrom: 1 },
    { ids: [1, 2, 3], scoreFrom: 1 },
  ]);
  expect(tree.trunk).toEqual([1, 2]);
  expect(tree.branches.map(({ ids }) => ids)).toEqual([[], [3]]);
});

test('paths give the sequences back; one sequence is a tree without a trunk', () => {
  const sequences = [
    { ids: [7, 8, 9], scoreFrom: 1 },
    { ids: [7, 8], scoreFrom: 2 },
    { ids: [7], scoreFrom: 1 },
  ];
  expect(pathsOf(treeOf(sequences))).toEqual(sequences);
  expect(treeOf(sequences.slice(0, 1))).toEqual({ trunk: [], branches: sequences.slice(0, 1) });
  expect(treeOf([])).toEqual({ trunk: [], branches: [] });
});
