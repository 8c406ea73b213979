import { expect, test } from 'vitest';
import { asJudged, calibrationOf, judgesSequences } from './judged.js';

test('a token behind each side carries its value; padding is not judged', () => {
  const tree = {
    trunk: [1, 2],
    branches: [
      { ids: [3, 9], scoreFrom: 2 },
      { ids: [4, 5, 9, 9], scoreFrom: 2 },
    ],
  };
  expect(asJudged({ id: 'a', tree }, 9).tree).toEqual({
    trunk: [1, 2],
    branches: [
      { ids: [3, 0], scoreFrom: 3 },
      { ids: [4, 5, 0], scoreFrom: 4 },
    ],
  });
  expect(asJudged({ id: 'a', tree }).tree.branches.map(({ scoreFrom }) => scoreFrom)).toEqual([4, 6]);
});

test('values alone are what judges', () => {
  expect(judgesSequences({ policy: ['values'] })).toBe(true);
  expect(judgesSequences({ policy: ['logprobs', 'values'] })).toBe(false);
});

test('ties are left out of the calibration', () => {
  const part = { rows: 4, tokens: 1, perRow: { ranks: Int32Array.of(0, 1, 0, 0) } };
  expect(calibrationOf([part], [Float64Array.of(40, 0, 0, 40)])).toBeCloseTo(0, 12);
  expect(calibrationOf([{ ...part, perRow: {} }], [Float64Array.of(40, 0, 0, 40)])).toBeCloseTo(0.5, 12);
});
