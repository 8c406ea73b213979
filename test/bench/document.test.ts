import { expect, test } from 'vitest';
import { replacePart } from './document.js';

const text = '# T\n<!-- bench:a -->\nold\n<!-- /bench:a -->\nby hand\n<!-- bench:b -->\n<!-- /bench:b -->\n';

test('a bench writes between its own markers, and nothing else', () => {
  const once = replacePart(text, 'a', 'new\n');
  expect(once).toBe(text.replace('old', 'new'));
  expect(replacePart(once, 'a', 'new')).toBe(once);
});

test('a part that is not there is told', () => {
  expect(() => replacePart(text, 'c', '')).toThrow(/bench:c/);
});
