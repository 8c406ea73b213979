import { bestOfNExactly } from '../../selection/index.js';
import { theoryCheck, theorySeeds, theoryWorld } from './check.js';

/** Rounding of a sum over the completions. */
const ROUNDING = 1e-12;

export const bestOfNBounds = theoryCheck('best-of-n stays within its bounds', () => {
  const sizes = [2, 4, 16, 64];
  const cases = theorySeeds.flatMap((seed) => {
    const { reference, rewards } = theoryWorld(seed);
    return sizes.map((n) => ({ n, ...bestOfNExactly(reference, rewards, n) }));
  });
  const held = cases.filter(
    ({ kl, klBound, winRate, winRateBound }) => kl <= klBound + ROUNDING && winRate <= winRateBound + ROUNDING,
  ).length;
  const shown = (value: 'kl' | 'winRate', bound: 'klBound' | 'winRateBound') =>
    sizes.map((n) => {
      const mine = cases.filter((one) => one.n === n);
      const mean = mine.reduce((sum, one) => sum + one[value], 0) / mine.length;
      return `n = ${n}: ${mean.toFixed(3)} of ${mine[0]![bound].toFixed(3)}`;
    });
  const kls = `mean exact KL and its bound, ${shown('kl', 'klBound').join(', ')}`;
  const wins = `mean exact win rate and its bound, ${shown('winRate', 'winRateBound').join(', ')}`;
  return {
    paper: 'Beirami et al. 2024, arXiv:2401.01879',
    passed: held === cases.length,
    found: `${held} of ${cases.length}; ${kls}; ${wins}`,
  };
});
