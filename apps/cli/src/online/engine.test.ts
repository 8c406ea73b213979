import { expect, it } from 'vitest';
import type { OnlineConfig } from '../config/schema.js';
import { engineOf } from './engine.js';

const opened = (online: Partial<OnlineConfig['online']>) =>
  engineOf({ online, output: { folder: 'out' } } as OnlineConfig, { tokenizer: 'base' });
const whole = { engineUrl: 'http://localhost:8000/v1/', engineModel: 'tiny', engineHandover: 'vllm' };

it('opens the server that is named, and none where none is', () => {
  expect(opened({})).toBeUndefined();
  expect(opened(whole)).toMatchObject({ madeOf: { engine: 'completions-server', model: 'tiny', follows: true } });
  expect(opened({ ...whole, engineHandover: 'none' })).toMatchObject({
    madeOf: { follows: false },
    notice: expect.stringContaining('http://localhost:8000 '),
  });
  expect(opened({ ...whole, engineHandover: 'scp -r "$KELPIE_MODEL_FOLDER" gpu:' })).toMatchObject({
    madeOf: { follows: true },
  });
});

it('asks for what is missing', () => {
  const { engineUrl, engineModel } = whole;
  expect(() => opened({ engineModel })).toThrow('`--engine-url`');
  expect(() => opened({ engineUrl })).toThrow('`--engine-model`');
  expect(() => opened({ engineUrl, engineModel })).toThrow('`--engine-handover`');
  expect(() => opened({ ...whole, engineUrl: 'http://me:secret@host' })).toThrow('the key goes into the environment');
});
