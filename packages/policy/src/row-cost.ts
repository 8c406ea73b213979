import type { Dimensions } from './architecture.js';

/**
 * Multiply-adds of a pass over rows a layer, about: 12 h² a token for the linear maps and 2 h a pair of tokens for
 * attention, h the hidden size; and what the passes over attention's own numbers, one a pair and head, take meanwhile.
 * Only ever compared.
 */
export function rowCost(
  { rows, tokens }: { readonly rows: number; readonly tokens: number },
  { hiddenSize, headDim }: Pick<Dimensions, 'hiddenSize' | 'headDim'>,
): number {
  const heads = hiddenSize / headDim;
  return rows * tokens * (12 * hiddenSize ** 2 + tokens * (2 * hiddenSize + ELEMENT * heads));
}

/** Of one number of an attention matrix in memory, forward and backward: measured as many multiply-adds. */
const ELEMENT = 150;
