import { getObjective } from '@kelpie/objectives';
import type { PolicyInfo } from '@kelpie/policy';
import { describe, expect, it } from 'vitest';
import type { StartConfig } from './config/schema.js';
import { isOnline, onlineObjectives } from './online/objectives.js';
import { unusual } from './usual.js';

const small = 8e5;
const large = 1e9;

interface Said {
  readonly learningRate?: number;
  readonly beta?: number;
  readonly model?: Partial<StartConfig['model']>;
  readonly lora?: Partial<StartConfig['lora']>;
  readonly parameters?: number;
}

function warned(name: string, { learningRate = 1e-5, beta, model, lora, parameters = small }: Said): string {
  const config = {
    objective: { name, ...(beta !== undefined && { beta }) },
    model: { path: 'base', ...model },
    lora: { rslora: false, dora: false, ...lora },
    output: { merge: false },
    training: { learningRate, seed: 0 },
  } as StartConfig;
  return unusual(getObjective(name), config, { parameters } as PolicyInfo).join('\n');
}

describe('a learning rate', () => {
  const start = { path: undefined, init: 'config.json' } as unknown as StartConfig['model'];
  const from = (range: string, effect: string) => `is outside what is usual for ${range}: ${effect}`;
  const apart = 'the model may fall apart';
  const little = 'little may come of it';

  it.each<[string, string, Said, string]>([
    ['dpo', 'too high', { learningRate: 0.1 }, from('a model of this size, 1e-8 to 0.001', apart)],
    ['dpo', 'too low', { learningRate: 1e-9 }, from('a model of this size, 1e-8 to 0.001', little)],
    ['sft', 'too low', { learningRate: 5e-8 }, from('a model of this size, 1e-7 to 0.005', little)],
    [
      'dpo',
      'too high for a larger model',
      { learningRate: 5e-4, parameters: large },
      from('a model of more than 20 million parameters, 1e-8 to 1e-4', apart),
    ],
    [
      'dpo',
      'too high for an adapter',
      { learningRate: 1e-2, lora: { rank: 8 } },
      from('an adapter, 1e-6 to 0.002', apart),
    ],
    [
      'dpo',
      'too low for an adapter',
      { learningRate: 1e-7, lora: { rank: 8 } },
      from('an adapter, 1e-6 to 0.002', little),
    ],
    [
      'dpo',
      'too low for an adapter that goes on',
      { learningRate: 1e-7, model: { adapter: 'peft' } },
      from('an adapter, 1e-6 to 0.002', little),
    ],
    [
      'sft',
      'too low for a start from nothing',
      { learningRate: 1e-5, model: start },
      from('weights that start at random, 1e-4 to 0.01', little),
    ],
    [
      'sft',
      'too high for a start from nothing',
      { learningRate: 0.1, model: start },
      from('weights that start at random, 1e-4 to 0.01', apart),
    ],
  ])('of %s that is %s is told', (objective, _, said, warning) => {
    expect(warned(objective, said)).toMatch(/^the learning rate \S+ is outside/);
    expect(warned(objective, said)).toContain(warning);
  });

  it('of 0 trains nothing, whatever is trained', () => {
    for (const said of [{}, { lora: { rank: 8 } }, { model: start }])
      expect(warned('dpo', { learningRate: 0, ...said })).toBe('the learning rate is 0: nothing is trained');
  });

  it('in between is not told, and what suits an adapter does not suit all weights', () => {
    expect(warned('dpo', { learningRate: 3e-4 })).toBe('');
    expect(warned('dpo', { learningRate: 1e-3, parameters: large, lora: { rank: 8 } })).toBe('');
    expect(warned('dpo', { learningRate: 1e-3, parameters: large })).not.toBe('');
    expect(warned('sft', { learningRate: 1e-3, model: start })).toBe('');
  });
});

describe('beta', () => {
  it.each([
    ['dpo', 20, 'beta 20 is outside what is usual for dpo, 0.01 to 1: the policy may hardly leave the reference'],
    ['dpo', 1000, 'beta 1000 is outside what is usual for dpo, 0.01 to 1: the policy may hardly leave the reference'],
    ['dpo', 0.002, 'beta 0.002 is outside what is usual for dpo, 0.01 to 1: the policy may go far from the reference'],
    [
      'grpo',
      5,
      'beta 5 is outside what is usual for a KL in the loss, 1e-4 to 1: the policy may hardly leave the reference',
    ],
    [
      'ppo',
      1e-5,
      'beta 1e-5 is outside what is usual for a KL in the loss, 1e-4 to 1: the policy may go far from the reference',
    ],
  ])('%s %f is told', (objective, beta, warning) => {
    expect(warned(objective, { beta })).toBe(warning);
  });

  it('of 0, which takes the term off, is not told', () => {
    for (const objective of ['orpo', 'grpo', 'ppo', 'distillation']) expect(warned(objective, { beta: 0 })).toBe('');
  });

  const withKl = onlineObjectives().filter(
    (objective) => isOnline(objective) && 'klEstimator' in objective.defaults && 'beta' in objective.defaults,
  );

  it.each(withKl.map(({ name }) => name))('of a KL in the loss is not told for being above the preset: %s', (name) => {
    for (const beta of [1e-3, 0.02, 0.04, 0.1]) expect(warned(name, { beta })).toBe('');
  });

  it('presets are usual', () => {
    for (const objective of onlineObjectives().concat(['dpo', 'simpo', 'kto'].map((name) => getObjective(name)))) {
      const { beta } = objective.defaults as { readonly beta?: number };
      const config = {
        objective: { name: objective.name, beta },
        model: {},
        lora: {},
        training: { learningRate: 1e-5 },
      };
      expect(unusual(objective, config as unknown as StartConfig, { parameters: small } as PolicyInfo)).toEqual([]);
    }
  });
});
