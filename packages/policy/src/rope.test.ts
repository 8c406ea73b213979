import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { parseLlamaConfig, parseRope } from './files/config.js';
import { type RopeConfig, ropeClass, ropeFrequencies } from './rope.js';

interface Golden {
  library: string;
  tolerance: number;
  cases: {
    name: string;
    config: Record<string, unknown>;
    results: { length: number; inverseFrequencies: number[]; attentionScaling: number }[];
  }[];
}

const golden = JSON.parse(readFileSync(new URL('./files/rope.json.golden', import.meta.url), 'utf8')) as Golden;

describe(golden.library, () => {
  test.each(golden.cases.map((c) => [c.name, c] as const))('%s', (_, { config, results }) => {
    const heads = { headDim: Number(config.head_dim ?? 64), maxPositionEmbeddings: 2048 };
    const { rope } = parseRope({ json: config, file: 'config.json' }, heads);
    for (const { length, inverseFrequencies, attentionScaling } of results) {
      const tables = ropeFrequencies(rope, length);
      expect(tables.inverseFrequencies).toHaveLength(inverseFrequencies.length);
      for (const [i, expected] of inverseFrequencies.entries()) {
        expect(Math.abs(tables.inverseFrequencies[i]! - expected)).toBeLessThanOrEqual(golden.tolerance * expected);
      }
      expect(tables.attentionScaling).toBeCloseTo(attentionScaling, 13);
    }
  });
});

function rope(json: Record<string, unknown>): RopeConfig {
  return parseRope({ json, file: 'config.json' }, { headDim: 8, maxPositionEmbeddings: 100 }).rope;
}

test('rows of one class have the same tables', () => {
  const factors = { short_factor: [1, 2, 3, 4], long_factor: [5, 6, 7, 8], original_max_position_embeddings: 10 };
  const configs = [
    rope({}),
    rope({ rope_scaling: { type: 'dynamic', factor: 2 } }),
    rope({ rope_scaling: { type: 'yarn', factor: 2 } }),
    rope({ rope_scaling: { type: 'longrope', ...factors } }),
  ];
  const classes = configs.map((config) => [1, 10, 11, 100, 101, 150].map((length) => ropeClass(config, length)));
  expect(classes).toEqual([
    ['', '', '', '', '', ''],
    ['', '', '', '', '101', '150'],
    ['', '', '', '', '', ''],
    ['short', 'short', 'long', 'long', 'long', 'long'],
  ]);
  for (const config of configs) {
    const byClass = new Map<string, string>();
    for (let length = 1; length < 200; length++) {
      const text = JSON.stringify([...ropeFrequencies(config, length).inverseFrequencies]);
      const key = ropeClass(config, length);
      expect(byClass.get(key) ?? text).toBe(text);
      byClass.set(key, text);
    }
    expect(new Set(byClass.values()).size).toBe(byClass.size);
  }
});

test.each([
  [{ rope_scaling: { type: 'linaer', factor: 2 } }, /got "linaer"; nearest: `linear`.*key `rope_scaling.rope_type`/],
  [{ rope_scaling: { type: 'mrope', rope_type: 'default' } }, /expected one rope type/],
  [{ rope_scaling: { type: 'linear' } }, /`linear` needs other parameters: `rope_scaling.factor`/],
  [{ rope_parameters: { rope_type: 'llama3', factor: 2 } }, /low_freq_factor.*high_freq_factor/],
  [
    { rope_scaling: { type: 'longrope', short_factor: [1, 1], long_factor: [1, 1, 1, 1] } },
    /expected 4 numbers, one a pair, got 2/,
  ],
  [{ rope_scaling: 'linear' }, /expected an object or null, got "linear"/],
  [{ rope_scaling: { type: 'linear', factor: 0 } }, /rope_scaling.factor/],
  [{ rope_theta: '10000' }, /expected a number above 0, got "10000".*key `rope_theta`/],
  [{ rope_parameters: { full_attention: {}, sliding_attention: {} } }, /one for each layer type/],
  [{ partial_rotary_factor: 0.1 }, /even number of entries to rotate.*got 0 of the 8/],
  [
    { partial_rotary_factor: 0.4, rope_scaling: { type: 'yarn', factor: 2 } },
    /rotates an even number of entries, got 3/,
  ],
  [{ partial_rotary_factor: 0.25, rope_scaling: { type: 'dynamic', factor: 2 } }, /divides by dim - 2/],
])('%j is refused', (json, message) => {
  expect(() => rope(json as Record<string, unknown>)).toThrow(message);
});

test('what looks wrong but has a meaning is a warning', () => {
  const scaling = { type: 'yarn', factor: 8, original_max_position_embeddings: 512, finetuned: true };
  const { warnings } = parseLlamaConfig({ json: { rope_scaling: scaling }, file: 'config.json' });
  expect(warnings).toEqual([
    '`rope_scaling.finetuned` has no meaning for rope_type `yarn` and is ignored',
    '`rope_scaling.factor` is 8, but max / original_max_position_embeddings is 4; the factor is used',
  ]);
});
