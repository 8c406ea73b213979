import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { arrayElements, findJsonFault } from './json.js';

function parses(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

describe('JSON faults', () => {
  it('are found exactly where JSON.parse refuses a text', () => {
    const change = fc.record({
      at: fc.nat(),
      cut: fc.nat({ max: 2 }),
      put: fc.constantFrom('', ',', '"', '}', '0', '\\', 'e', '\n'),
    });
    fc.assert(
      fc.property(fc.json(), change, (json, { at, cut, put }) => {
        const i = at % (json.length + 1);
        const text = json.slice(0, i) + put + json.slice(i + cut);
        expect(findJsonFault(text) === undefined).toBe(parses(text));
      }),
      { numRuns: 2000, seed: 7 },
    );
  });

  it.each([
    ['{"a": 1,}', 8, 'a string in double quotes'],
    ['{"a": tru}', 6, 'a JSON value'],
    ["{'a': 1}", 1, 'a string in double quotes'],
    ['{"a": "b', 8, 'the closing quote of a string'],
    ['{"a": 1} {"a": 2}', 9, 'nothing more'],
    ['{"a": "\\x"}', 8, 'an escape that JSON knows'],
    ['[1 2]', 3, 'a comma or `]`'],
    ['', 0, 'a JSON value'],
  ])('%s stops at %i', (text, offset, expected) => expect(findJsonFault(text)).toEqual({ offset, expected }));

  const expected = 'at most 200 levels of lists and objects';
  it.each([
    ['lists', (levels: number) => '['.repeat(levels), 200],
    ['objects', (levels: number) => '{"a":'.repeat(levels), 5 * 200],
    ['lists that are closed', (levels: number) => '['.repeat(levels) + ']'.repeat(levels), 200],
  ])('100,000 levels of %s stop at the first that is too deep', (_, nested, offset) => {
    expect(findJsonFault(nested(100_000))).toEqual({ offset, expected });
    expect(findJsonFault(nested(201))).toEqual({ offset, expected });
  });

  it('200 levels are none', () => {
    const nested = (levels: number, open: string, close: string) => open.repeat(levels) + close.repeat(levels);
    expect(findJsonFault(nested(200, '[', ']'))).toBeUndefined();
    expect(findJsonFault(`${'{"a":'.repeat(200)}1${'}'.repeat(200)}`)).toBeUndefined();
  });
});

describe('elements of a list', () => {
  it('are the values JSON.parse gives', () => {
    fc.assert(
      fc.property(fc.array(fc.jsonValue()), fc.nat({ max: 3 }), (values, indent) => {
        const text = JSON.stringify(values, undefined, indent);
        const { elements, fault } = arrayElements(text);
        expect(fault).toBeUndefined();
        expect(elements.map(([start, end]) => JSON.parse(text.slice(start, end)))).toEqual(JSON.parse(text));
      }),
      { seed: 7 },
    );
  });

  it('end before one that nests too deeply', () => {
    const { elements, fault } = arrayElements(`[{"a": 1}, ${'['.repeat(100_000)}`);
    expect(elements).toEqual([[1, 9]]);
    expect(fault).toEqual({ offset: 11 + 200, expected: 'at most 200 levels of lists and objects' });
  });
});
