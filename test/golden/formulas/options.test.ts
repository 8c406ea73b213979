import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { type GoldenCase, type GoldenFile, Inputs, type Outcome, Params } from './case.js';
import { variantsOf } from './index.js';

function recorded(family: string, variant: string): { file: GoldenFile; golden: GoldenCase } {
  const file = JSON.parse(readFileSync(new URL(`../objectives/${family}.json`, import.meta.url), 'utf8')) as GoldenFile;
  const golden = file.cases.find((one) => one.variant === variant);
  if (golden === undefined) throw new Error(`no case of ${variant} in ${family}`);
  return { file, golden };
}

/** A recorded case under other options; every option has to be known. */
async function computed(family: string, variant: string, changes: Readonly<Record<string, unknown>>): Promise<Outcome> {
  const { file, golden } = recorded(family, variant);
  const params = new Params({ ...golden.params, ...changes });
  const compute = (await variantsOf(file.objective))[variant]!;
  const outcome = compute(new Inputs(file.batches[golden.batch]!), params, golden);
  expect(params.unread(variant)).toEqual([]);
  return outcome;
}

describe('an option that is null is one that is absent', () => {
  test.each([
    ['group_losses', 'gspo', 'clip_low'],
    ['group_losses', 'gspo', 'clip_high'],
    ['group_losses', 'rloo_sequence', 'clip_low'],
    ['group_losses', 'entropy_ratio_clip', 'dual_clip'],
    ['group_losses', 'grpo', 'delta'],
    ['ppo_loss', 'ppo', 'log_ratio_clamp'],
    ['ppo_loss', 'ppo', 'scale'],
    ['ppo_loss', 'ppo', 'value_clip'],
    ['ppo_shaping', 'shaped', 'score_clip'],
    ['ppo_shaping', 'shaped', 'missing_eos'],
    ['ppo_shaping', 'shaped', 'kl_estimator'],
    ['tdpo', 'tdpo1', 'alpha'],
    ['tdpo', 'sparsepo', 'alpha'],
    ['fdpo', 'fdpo', 'alpha'],
    ['fdpo', 'fdpo', 'exp_cap'],
    ['fdpo', 'chipo', 'clip'],
    ['dpo_pairwise', 'wpo', 'clamp_max'],
    ['lists_distillation_hybrids', 'decoupled_reward', 'lambda'],
    ['lists_distillation_hybrids', 'plackett_luce', 'top_k'],
    ['lists_distillation_hybrids', 'kdrl', 'estimator'],
  ])('%s %s %s', async (family, variant, option) => {
    const absent = await computed(family, variant, { [option]: undefined });
    expect(await computed(family, variant, { [option]: null })).toEqual(absent);
  });
});

describe('an infinite bound is no bound', () => {
  test.each([
    ['group_losses', 'grpo', 'clip_low'],
    ['group_losses', 'grpo', 'clip_high'],
    ['group_losses', 'grpo', 'delta'],
    ['group_losses', 'dapo', 'dual_clip'],
    ['group_losses', 'gspo', 'clip_high'],
    ['group_losses', 'gmpo', 'clip_low'],
    ['group_losses', 'cispo', 'ratio_max'],
    ['ppo_loss', 'ppo', 'clip_high'],
    ['ppo_loss', 'ppo', 'value_clip'],
    ['ppo_shaping', 'shaped', 'score_clip'],
    ['fdpo', 'chipo', 'clip'],
    ['dpo_pairwise', 'wpo', 'clamp_max'],
    ['lists_distillation_hybrids', 'kdrl', 'clip_high'],
  ])('%s %s %s', async (family, variant, option) => {
    const wide = await computed(family, variant, { [option]: 1e9 });
    expect(await computed(family, variant, { [option]: 'Infinity' })).toEqual(wide);
  });

  test.each([
    ['occupancy', 'sequence', 'clip'],
    ['ppo_loss', 'ppo', 'log_ratio_clamp'],
    ['fdpo', 'fdpo', 'exp_cap'],
  ])('of an exponent: %s %s %s', async (family, variant, option) => {
    const wide = await computed(family, variant, { [option]: 300 });
    expect(await computed(family, variant, { [option]: 'Infinity' })).toEqual(wide);
  });
});

describe('ends of ranges', () => {
  test.each([
    ['fdpo', 'chipo', { kl_weight: 0 }],
    ['fdpo', 'fdpo', { divergence: 'pearson_chi2', alpha: 0.5 }],
    ['fdpo', 'fdpo', { divergence: 'alpha', alpha: -1 }],
    ['fdivergence', 'generator', { divergence: 'js', alpha: null }],
    ['occupancy', 'sequence', { floor: 0, sqrt_chi2_weight: 0.5 }],
    ['group_losses', 'rehearsal', { generator: 'alpha', alpha: 0 }],
    ['group_losses', 'rehearsal', { generator: 'alpha', alpha: 1 }],
    ['online_and_matching', 'fdpg', { divergence: 'alpha', alpha: 1 }],
    ['reference_free', 'slic', { margin: -0.5 }],
    ['lists_distillation_hybrids', 'margin_ranking', { margin: -0.01, gold_margin: -0.1 }],
    ...['k1', 'abs', 'k3_k2grad', 'k3_reversed', 'k3_clamped'].map(
      (estimator) => ['lists_distillation_hybrids', 'kdrl', { estimator }] as const,
    ),
    ['lists_distillation_hybrids', 'kdrl', { coef: 0 }],
  ] as const)('%s %s %o', async (family, variant, changes) => {
    const { values } = await computed(family, variant, changes);
    const recordedValues = Object.keys(recorded(family, variant).golden.expected);
    expect(Object.keys(values)).toEqual(expect.arrayContaining(recordedValues));
    if ('loss' in values) expect(values.loss).toBeTypeOf('number');
  });
});
