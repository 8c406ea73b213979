import { atMostLevels, MAX_LEVELS } from '@kelpie/policy';

/** Where JSON stops being JSON. `JSON.parse` names no position for some mistakes, and words the others by version. */
export interface JsonFault {
  readonly offset: number;
  readonly expected: string;
}

class Fault extends Error {
  constructor(
    readonly offset: number,
    readonly expected: string,
  ) {
    super(expected);
  }
}

const escapes = new Set('"\\/bfnrt');
const numberPattern = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;

function skipSpace(text: string, at: number): number {
  let i = at;
  while (text[i] === ' ' || text[i] === '\n' || text[i] === '\r' || text[i] === '\t') i++;
  return i;
}

function skipString(text: string, at: number): number {
  if (text[at] !== '"') throw new Fault(at, 'a string in double quotes');
  for (let i = at + 1; i < text.length; i++) {
    const character = text[i] as string;
    if (character === '"') return i + 1;
    if (character < ' ') throw new Fault(i, 'an escaped control character');
    if (character !== '\\') continue;
    i++;
    if (text[i] === 'u') {
      if (!/^[0-9a-fA-F]{4}$/.test(text.slice(i + 1, i + 5))) throw new Fault(i + 1, 'four hexadecimal digits');
      i += 4;
    } else if (!escapes.has(text[i] ?? 'x')) throw new Fault(i, 'an escape that JSON knows');
  }
  throw new Fault(text.length, 'the closing quote of a string');
}

/** Items of `[...]` or `{...}` from behind the bracket; returns the offset behind the closing one. */
function skipItems(text: string, from: number, close: string, item: (at: number) => number): number {
  let at = skipSpace(text, from);
  if (text[at] === close) return at + 1;
  for (;;) {
    at = skipSpace(text, item(at));
    if (text[at] === close) return at + 1;
    if (text[at] !== ',') throw new Fault(at, `a comma or \`${close}\``);
    at = skipSpace(text, at + 1);
  }
}

/** @param level how many lists and objects it stands in. */
function skipMember(text: string, at: number, level: number): number {
  const colon = skipSpace(text, skipString(text, at));
  if (text[colon] !== ':') throw new Fault(colon, 'a colon');
  return skipValue(text, skipSpace(text, colon + 1), level);
}

function skipValue(text: string, at: number, level = 0): number {
  const first = text[at];
  if (level === MAX_LEVELS && (first === '{' || first === '[')) throw new Fault(at, atMostLevels);
  if (first === '{') return skipItems(text, at + 1, '}', (i) => skipMember(text, i, level + 1));
  if (first === '[') return skipItems(text, at + 1, ']', (i) => skipValue(text, i, level + 1));
  if (first === '"') return skipString(text, at);
  for (const word of ['true', 'false', 'null']) if (text.startsWith(word, at)) return at + word.length;
  numberPattern.lastIndex = at;
  if (numberPattern.test(text)) return numberPattern.lastIndex;
  throw new Fault(at, 'a JSON value');
}

function faultOf(run: () => void): JsonFault | undefined {
  try {
    run();
    return undefined;
  } catch (error) {
    if (error instanceof Fault) return { offset: error.offset, expected: error.expected };
    throw error;
  }
}

function requireEnd(text: string, at: number): void {
  const end = skipSpace(text, at);
  if (end < text.length) throw new Fault(end, 'nothing more');
}

/** The first mistake, or the bracket that opens one level more than `MAX_LEVELS`. */
export function findJsonFault(text: string): JsonFault | undefined {
  return faultOf(() => requireEnd(text, skipValue(text, skipSpace(text, 0))));
}

/**
 * The elements of a top-level array, as [start, end) offsets, so that each keeps the line it began on. What precedes a
 * fault is still given.
 */
export function arrayElements(text: string): { elements: [number, number][]; fault?: JsonFault } {
  const elements: [number, number][] = [];
  const fault = faultOf(() => {
    const open = skipSpace(text, 0);
    if (text[open] !== '[') throw new Fault(open, 'a list of rows');
    const end = skipItems(text, open + 1, ']', (at) => {
      const behind = skipValue(text, at);
      elements.push([at, behind]);
      return behind;
    });
    requireEnd(text, end);
  });
  return fault === undefined ? { elements } : { elements, fault };
}
