import { reverseKl } from '../../divergences/index.js';
import { bestOfN } from '../../enumerable/index.js';
import { theoryCheck, theorySeeds, theoryWorld } from './check.js';

export const bestOfNBounds = theoryCheck('best-of-n stays within its bounds', () => {
  const sizes = [2, 4, 16, 64];
  const cases = theorySeeds.flatMap((seed) => {
    const { reference, rewards } = theoryWorld(seed);
    return sizes.map((n) => {
      const best = bestOfN(reference, rewards, n);
      return { n, kl: reverseKl.exact(best, reference).value, wins: winRate(best, reference, rewards) };
    });
  });
  const klBound = (n: number) => Math.log(n) - (n - 1) / n;
  const held = cases.filter(({ n, kl, wins }) => kl <= klBound(n) && wins <= n / (n + 1) + 1e-12).length;
  const mean = (n: number) => {
    const mine = cases.filter((one) => one.n === n);
    return mine.reduce((sum, { kl }) => sum + kl, 0) / mine.length;
  };
  const shown = sizes.map((n) => `n = ${n}: ${mean(n).toFixed(3)} of ${klBound(n).toFixed(3)}`).join(', ');
  return {
    paper: 'Beirami et al. 2024, arXiv:2401.01879',
    passed: held === cases.length,
    found: `${held} of ${cases.length}; mean exact KL and its bound, ${shown}`,
  };
});

/** How often a draw of p is better than one of q; ties count half. */
function winRate(p: Float64Array, q: Float64Array, rewards: Float64Array): number {
  return p.reduce(
    (sum, logp, i) =>
      sum +
      Math.exp(logp) *
        q.reduce((beaten, logq, j) => {
          const share = rewards[i]! > rewards[j]! ? 1 : rewards[i] === rewards[j] ? 0.5 : 0;
          return beaten + Math.exp(logq) * share;
        }, 0),
    0,
  );
}
