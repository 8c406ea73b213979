import { gae, whiten } from '@kelpie/objectives';
import type { Variant, Variants } from './case.js';
import { gridOf } from './policy-rows.js';

const modes = { right_padded: 'zeros', skip_masked: 'jump' } as const;

const estimate: Variant = (inputs, params, { variant }) => {
  const grid = gridOf(inputs, 'rewards');
  const { advantages, returns } = gae(
    grid,
    { rewards: inputs.numbers('rewards'), values: inputs.numbers('values') },
    {
      gamma: params.number('gamma'),
      gaeLambda: params.number('lam'),
      holes: modes[params.text('mode', ['right_padded', 'skip_masked'], variant as keyof typeof modes)],
    },
  );
  return { values: { advantages, returns, whitened: whiten(advantages, grid.completionMask) } };
};

export const variants: Variants = { right_padded: estimate, skip_masked: estimate };
