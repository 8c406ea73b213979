import type { KlController } from '../shaping/index.js';

/**
 * The authors' optional control of the coefficient after each iteration, with a target for the measured KL of occupancies.
 * Laidlaw et al. 2024, arXiv:2403.03185, as in their code.
 *   coefficient *= 1.5 above twice the target, 0.5 below half of it
 */
export function steppedKlController(klCoef: number, target: number): KlController {
  if (!(target > 0)) throw new RangeError(`\`target\`: expected a number above 0, got ${target}`);
  return {
    klCoef,
    update(kl) {
      if (kl > 2 * target) return steppedKlController(klCoef * 1.5, target);
      return steppedKlController(kl < target / 2 ? klCoef * 0.5 : klCoef, target);
    },
  };
}

/** The other rule there: the coefficient is `factor` times the KL last measured, none below a KL of 0. `klCoef` is the first. */
export function proportionalKlController(klCoef: number, factor: number): KlController {
  return { klCoef, update: (kl) => proportionalKlController(factor * Math.max(kl, 0), factor) };
}
