import { KelpieError, nearestNames } from '../errors.js';
import type { OpenedModel } from '../model-folder.js';
import type { AdamWOptions } from '../types.js';

/** Names of the trained tensors that decay. */
export function decaying(decay: Required<AdamWOptions>['decay'], { trained, model }: OpenedModel): Set<string> {
  if (decay === 'all') return new Set(trained);
  if (decay !== 'matrices') {
    const lost = decay.filter((name) => !trained.includes(name));
    if (lost.length > 0) {
      throw new KelpieError(
        `\`decay\` names tensors that are not trained: ${lost.join(', ')}; nearest: ${nearestNames(lost[0]!, trained).join(', ')}`,
        { code: 'decay' },
      );
    }
    return new Set(decay);
  }
  const spared = new Set(
    model.parameters.filter(({ kind }) => kind === 'norm' || kind === 'bias').map(({ name }) => name),
  );
  return new Set(trained.filter((name) => !spared.has(name)));
}
