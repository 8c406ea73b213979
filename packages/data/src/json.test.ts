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
});
