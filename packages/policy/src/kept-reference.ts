import type { OpenedModel } from './model-folder.js';
import type { FloatArray, Weights } from './parameters.js';
import type { Variant } from './passes.js';
import type { OpenOptions } from './types.js';

/**
 * What of the reference can move: copies of what will be trained, or a named model's own. A fresh LoRA's base has none
 * while it stands still, and a base beside an adapter nothing of the adapter's.
 */
export function movingOf(opened: OpenedModel, keep: Required<OpenOptions>['keepReference']): Weights | undefined {
  const { lora, trained, reference, freshAdapter } = opened;
  const adapted = lora.length > 0;
  if (reference !== undefined) {
    const shared = trained.filter((name) => reference.has(name));
    return adapted ? undefined : new Map(shared.map((name) => [name, reference.get(name)!]));
  }
  if (keep === false || (adapted && freshAdapter && keep !== 'moving')) return undefined;
  return new Map(
    trained.map((name) => {
      const { shape, data } = opened.weights.get(name)!;
      return [name, { shape, data: data.slice() }];
    }),
  );
}

/** A reference of its own: the folder that was named, or, if the start is to be kept, its copies or its bare base. */
export function variantOf(
  opened: OpenedModel,
  keep: Required<OpenOptions>['keepReference'],
  moving: Weights | undefined,
): Variant | undefined {
  if (opened.reference !== undefined) return { weights: opened.reference, adapter: false };
  if (keep === false) return undefined;
  if (moving === undefined) return { weights: opened.weights, adapter: false };
  return { weights: new Map([...opened.weights, ...moving]), adapter: true };
}

/** to <- share from + (1 - share) to. */
export function mix(to: FloatArray, from: FloatArray, share: number): void {
  for (let i = 0; i < to.length; i++) to[i] = share * from[i]! + (1 - share) * to[i]!;
}
