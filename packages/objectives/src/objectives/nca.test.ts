import { describe, expect, test } from 'vitest';
import { lossOfPair } from '../testing/index.js';
import { nca } from './nca.js';

describe('chen2024 eq 12, two completions', () => {
  test('softplus(-ρ_chosen) + ½ softplus(ρ_chosen) + ½ softplus(ρ_rejected)', () => {
    // σ: 3/4 and 1/4
    const [loss, chosen, rejected] = lossOfPair(nca, [Math.log(3), -Math.log(3)], { beta: 1 });
    expect(loss).toBeCloseTo(-Math.log(0.75) - 0.5 * Math.log(0.25) - 0.5 * Math.log(0.75), 14);
    expect(chosen).toBeCloseTo(1.5 * 0.75 - 1, 14);
    expect(rejected).toBeCloseTo(0.125, 14);
  });

  test('chosen is held at an implicit reward of log 2, whatever rejected does', () => {
    for (const rejected of [-50, 0, 50]) {
      expect(lossOfPair(nca, [Math.log(2), rejected], { beta: 1 })[1]).toBeCloseTo(0, 15);
    }
  });

  test('2 log 2 at the reference', () => {
    expect(nca.atReference!(nca.defaults)).toBe(2 * Math.LN2);
  });
});
