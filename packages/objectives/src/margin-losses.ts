import { logSigmoid, sigmoid, softplus } from './numerics.js';

/** A loss of one number, and its derivative. */
export interface Sloped {
  readonly loss: number;
  readonly slope: number;
}

/**
 * Losses of a margin z, chosen over rejected, whatever scores the sides: summed or averaged logratios, or those of
 * another f-divergence, times beta. Each falls in z as long as the pair is ordered wrongly.
 */

/** (1-ε) softplus(-z) + ε softplus(z);  slope ε σ(z) - (1-ε) σ(-z). Logistic, with a share ε of labels flipped: cDPO. */
export function logisticLoss(z: number, labelSmoothing = 0): Sloped {
  return {
    loss: (1 - labelSmoothing) * softplus(-z) + labelSmoothing * softplus(z),
    slope: labelSmoothing * sigmoid(z) - (1 - labelSmoothing) * sigmoid(-z),
  };
}

/** ((1-ε) softplus(-z) - ε softplus(z)) / (1-2ε), ε < 1/2: its mean over labels flipped at rate ε is softplus(-z). */
export function robustLoss(z: number, labelSmoothing: number): Sloped {
  const scale = 1 / (1 - 2 * labelSmoothing);
  return {
    loss: scale * ((1 - labelSmoothing) * softplus(-z) - labelSmoothing * softplus(z)),
    slope: -scale * ((1 - labelSmoothing) * sigmoid(-z) + labelSmoothing * sigmoid(z)),
  };
}

/** max(0, 1 - z);  slope -1 below z = 1, else 0. */
export function hingeLoss(z: number): Sloped {
  return z < 1 ? { loss: 1 - z, slope: -1 } : { loss: 0, slope: 0 };
}

/** (z - target)²;  slope 2 (z - target). */
export function squaredLoss(z: number, target: number): Sloped {
  return { loss: (z - target) ** 2, slope: 2 * (z - target) };
}

/** KL(Bernoulli σ(z) ‖ Bernoulli σ(y));  slope by z: σ(z) σ(-z) (z - y). */
export function modelledKl(z: number, y: number): Sloped {
  return { loss: bernoulliKl(z, y), slope: sigmoid(z) * sigmoid(-z) * (z - y) };
}

/** KL(Bernoulli σ(y) ‖ Bernoulli σ(z));  slope by z: σ(z) - σ(y). */
export function targetKl(z: number, y: number): Sloped {
  return { loss: bernoulliKl(y, z), slope: sigmoid(z) - sigmoid(y) };
}

/**
 * M e^-z + (1 - M) softplus(-z), M = σ(z/τ): logistic where the pair is ordered wrongly, exponential where rightly.
 *   slope  M (1-M)/τ (e^-z - softplus(-z)) - (1-M) σ(-z) - M e^-z
 * M e^-z is exp(log M - z): it stays finite for z → -∞ if τ <= 1; with a larger τ it grows as exp(-z (1 - 1/τ)).
 */
export function discoveredLoss(z: number, tau: number): Sloped {
  const logMix = logSigmoid(z / tau);
  const logRest = logSigmoid(-z / tau);
  const exponential = Math.exp(logMix - z);
  const rest = Math.exp(logRest);
  const turn = (Math.exp(logMix + logRest - z) - Math.exp(logMix + logRest) * softplus(-z)) / tau;
  return { loss: exponential + rest * softplus(-z), slope: turn - rest * sigmoid(-z) - exponential };
}

/** KL(Bernoulli σ(a) ‖ Bernoulli σ(b)), from logits. */
function bernoulliKl(a: number, b: number): number {
  return sigmoid(a) * (logSigmoid(a) - logSigmoid(b)) + sigmoid(-a) * (logSigmoid(-a) - logSigmoid(-b));
}
