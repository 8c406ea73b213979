import { KelpieError, nearestNames } from '../errors.js';

/**
 * Activations by formula, s = sigmoid, Φ the normal distribution:
 *   silu x s(x) · gelu x Φ(x) · gelu_tanh x/2 (1 + tanh(sqrt(2/π) (x + 0.044715 x³))) · gelu_10 gelu clipped to [-10, 10] ·
 *   quick_gelu x s(1.702 x) · relu · relu2 relu(x)² · relu6 min(relu(x), 6) · leaky_relu, slope 0.01 · linear x · tanh ·
 *   sigmoid · mish x tanh(log(1 + e^x)) · hardswish x relu6(x + 3) / 6 · laplace Φ((x - 0.707107) / 0.282095) ·
 *   sqrtsoftplus sqrt(log(1 + e^x))
 */
export type Activation = (typeof activations)[keyof typeof activations];

/** Names of a config.json (transformers' ACT2FN, but `prelu` and `xielu`, which have weights of their own). */
export const activations = {
  gelu: 'gelu',
  gelu_python: 'gelu',
  gelu_10: 'gelu_10',
  gelu_new: 'gelu_tanh',
  gelu_fast: 'gelu_tanh',
  gelu_accurate: 'gelu_tanh',
  gelu_pytorch_tanh: 'gelu_tanh',
  gelu_python_tanh: 'gelu_tanh',
  hardswish: 'hardswish',
  laplace: 'laplace',
  leaky_relu: 'leaky_relu',
  linear: 'linear',
  mish: 'mish',
  quick_gelu: 'quick_gelu',
  relu: 'relu',
  relu2: 'relu2',
  relu6: 'relu6',
  sigmoid: 'sigmoid',
  silu: 'silu',
  swish: 'silu',
  sqrtsoftplus: 'sqrtsoftplus',
  tanh: 'tanh',
} as const;

export function parseActivation(name: string, where: { file: string; key: string }): Activation {
  if (Object.hasOwn(activations, name)) return activations[name as keyof typeof activations];
  const near = nearestNames(name, Object.keys(activations));
  throw new KelpieError(
    `the activation \`${name}\` is not supported; nearest: ${near.map((n) => `\`${n}\``).join(', ')}`,
    { code: 'config-unsupported', where },
  );
}
