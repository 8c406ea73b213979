import {
  adaptiveKlController,
  fixedKlController,
  type KlController,
  proportionalKlController,
  steppedKlController,
} from '@kelpie/objectives';

interface ControllerOptions {
  readonly klCoef: number;
  /** KL of a completion to be held, in nats. */
  readonly target: number;
  /** Completions in which `adaptive` corrects a full error. */
  readonly horizon: number;
  /** The weight that the run began with. */
  readonly initial: number;
}

/**
 * How the weight of a penalty goes on behind each step.
 *   fixed          as it began
 *   adaptive       in proportion to the error, slowly: Ziegler et al. 2019
 *   stepped        half again above twice the target, half below half of it: Laidlaw et al. 2024
 *   proportional   the first weight times KL/target
 */
const controllers = {
  fixed: ({ klCoef }) => fixedKlController(klCoef),
  adaptive: ({ klCoef, target, horizon }) => adaptiveKlController({ klCoef, target, horizon }),
  stepped: ({ klCoef, target }) => steppedKlController(klCoef, target),
  proportional: ({ klCoef, initial, target }) => proportionalKlController(klCoef, initial / target),
} as const satisfies Readonly<Record<string, (options: ControllerOptions) => KlController>>;

export type ControllerName = keyof typeof controllers;
export const controllerNames = Object.keys(controllers) as [ControllerName, ...ControllerName[]];

export function controllerOf(name: ControllerName, options: ControllerOptions): KlController {
  return controllers[name](options);
}
