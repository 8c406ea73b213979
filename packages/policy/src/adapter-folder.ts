import { KelpieError } from './errors.js';
import type { Model } from './architecture.js';
import type { OpenedModel } from './model-folder.js';
import type { LoraModule, Weights } from './parameters.js';
import type { LoraOptions } from './types.js';
import type { Arithmetic } from './weights.js';

export async function openAdapter(folder: string, _model: Model, _dtype: Arithmetic): Promise<{ modules: LoraModule[]; weights: Weights; options: LoraOptions }> {
  throw new KelpieError('pending', { code: 'pending', where: { folder } });
}
export async function saveAdapter(_opened: OpenedModel, folder: string): Promise<void> {
  throw new KelpieError('pending', { code: 'pending', where: { folder } });
}
