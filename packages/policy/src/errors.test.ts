import { expect, test } from 'vitest';
import { KelpieError, nearestNames } from './errors.js';

test('an error says where, and keeps code, place and cause as fields', () => {
  const cause = new Error('below');
  const error = new KelpieError('expected 3 numbers, got 2', {
    code: 'shape',
    where: { file: 'a.json', row: 7 },
    cause,
  });
  expect(error.message).toBe('expected 3 numbers, got 2 (file `a.json`, row 7)');
  expect(error).toMatchObject({ name: 'KelpieError', code: 'shape', where: { file: 'a.json', row: 7 }, cause });
  expect(new KelpieError('plain', { code: 'x' })).not.toHaveProperty('where');
});

test('the nearest names come first', () => {
  expect(nearestNames('q_porj', ['v_proj', 'q_proj', 'lm_head'], 2)).toEqual(['q_proj', 'v_proj']);
  expect(nearestNames('x', [])).toEqual([]);
});
