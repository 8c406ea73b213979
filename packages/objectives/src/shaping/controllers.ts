/** What sets the weight of the KL, after each batch. A value: `update` gives the next controller. */
export interface KlController {
  readonly klCoef: number;
  /** `kl`: measured mean KL of a sequence, in nats; `samples`: completions since the last update. */
  update(kl: number, samples: number): KlController;
}

/** The same weight throughout. */
export function fixedKlController(klCoef: number): KlController {
  const controller: KlController = { klCoef, update: () => controller };
  return controller;
}

export interface AdaptiveKlOptions {
  /** Default 0.2. */
  readonly klCoef?: number;
  /** KL of a sequence to be held, in nats. Default 6. */
  readonly target?: number;
  /** Samples over which a full error changes the weight by a factor of about e^0.2. Default 10000. */
  readonly horizon?: number;
}

/**
 * Proportional control of the log of the weight. Ziegler et al. 2019, arXiv:1909.08593, section 2.2; defaults of TRL 0.11.
 *   klCoef *= 1 + clip(kl/target - 1, ±0.2) samples/horizon
 */
export function adaptiveKlController({
  klCoef = 0.2,
  target = 6,
  horizon = 10000,
}: AdaptiveKlOptions = {}): KlController {
  return {
    klCoef,
    update(kl, samples) {
      const error = Math.min(Math.max(kl / target - 1, -0.2), 0.2);
      return adaptiveKlController({ klCoef: klCoef * (1 + (error * samples) / horizon), target, horizon });
    },
  };
}
