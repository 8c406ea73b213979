import { pick } from './fixture.js';

type Next = () => number;

const upTo = (next: Next, n: number) => Math.floor(next() * n);

/** Numbers at which formats and arrays have their limits. */
const numbers = [0, -1, 1, 2, 0.5, 255, 65536, 1e9, 2 ** 31, 2 ** 32, 2 ** 53, 1e15, 1e300, -1e300, 1e-300];
const texts = [
  '',
  ' ',
  '\u0000',
  'a'.repeat(300),
  '../../etc/passwd',
  '__proto__',
  'constructor',
  '\ud800',
  'F32',
  '🦊',
];
const values: readonly unknown[] = [...numbers, ...texts, null, true, false, [], {}, [[]], [null], { a: { b: [] } }];

/** One to three changes to the bytes: bits, runs, cuts, repeats, moves. */
export function mutateBytes(bytes: Buffer, next: Next): Buffer {
  let result = Buffer.from(bytes);
  for (let n = 1 + upTo(next, 3); n > 0; n--) result = Buffer.from(pick(next, byteChanges)(result, next));
  return result;
}

const byteChanges: readonly ((bytes: Buffer, next: Next) => Buffer)[] = [
  (bytes, next) => {
    if (bytes.length > 0) bytes[upTo(next, bytes.length)]! ^= 1 << upTo(next, 8);
    return bytes;
  },
  (bytes, next) => {
    const from = upTo(next, bytes.length);
    return bytes.fill(upTo(next, 256), from, Math.min(bytes.length, from + 1 + upTo(next, 16)));
  },
  (bytes, next) => bytes.subarray(0, upTo(next, bytes.length)),
  (bytes, next) => bytes.subarray(Math.min(bytes.length, upTo(next, 40))),
  (bytes, next) => {
    const [from, to] = [upTo(next, bytes.length), upTo(next, bytes.length)].toSorted((a, b) => a - b);
    return Buffer.concat([bytes.subarray(0, from), bytes.subarray(to)]);
  },
  (bytes, next) => {
    const at = upTo(next, bytes.length);
    return Buffer.concat([
      bytes.subarray(0, at),
      bytes.subarray(upTo(next, bytes.length)).subarray(0, 200),
      bytes.subarray(at),
    ]);
  },
  (bytes, next) => {
    const at = upTo(next, bytes.length);
    const junk = pick(next, [
      '{',
      '}',
      '[',
      ']',
      '"',
      ',',
      ':',
      '\\',
      '\n',
      '\r',
      '\ufeff',
      '\u2028',
      'NaN',
      '-',
      '1e999',
    ]);
    return Buffer.concat([bytes.subarray(0, at), Buffer.from(junk), bytes.subarray(at)]);
  },
];

/** A value that nests deeply, closed or not, put into a list or, by a key of its own, into an object. */
export function nestDeeply(bytes: Buffer, next: Next): Buffer {
  const places = [...bytes.keys()].filter((i) => bytes[i] === 0x5b || bytes[i] === 0x7b);
  if (places.length === 0) return bytes;
  const at = pick(next, places);
  const levels = pick(next, [10, 150, 201, 3000, 20_000, 100_000]);
  const [open, close] = pick(next, [
    ['[', ']'],
    ['{"a":', '}'],
  ] as const);
  const value = `${open.repeat(levels)}1${next() < 0.7 ? close.repeat(levels) : ''}`;
  const held = bytes[at] === 0x7b ? `"deep": ${value}, ` : `${value}, `;
  return Buffer.concat([bytes.subarray(0, at + 1), Buffer.from(held), bytes.subarray(at + 1)]);
}

interface Place {
  readonly holder: Record<string, unknown>;
  readonly key: string;
}

/** One to three changes inside a JSON value: a place gets another value, is lost, doubled, renamed or swapped. */
export function mutateJson<T>(value: T, next: Next): T {
  const root = { value: structuredClone(value) };
  for (let n = 1 + upTo(next, 3); n > 0; n--) {
    const { holder, key } = pick(next, placesOf(root));
    const here = holder[key];
    const other = pick(next, placesOf(root));
    pick<() => void>(next, [
      () => {
        holder[key] = structuredClone(pick(next, values));
      },
      () => {
        holder[key] = alike(here, next);
      },
      () => {
        if (Array.isArray(holder)) holder.splice(Number(key), 1);
        else if (holder !== root) delete holder[key];
      },
      () => {
        if (Array.isArray(holder)) holder.push(structuredClone(here));
        else if (holder !== root) holder[`${key}${pick(next, ['', 's', '_', '2'])}`] = structuredClone(here);
      },
      () => {
        holder[key] = structuredClone(other.holder[other.key]);
      },
    ])();
  }
  return root.value;
}

/** Another value of the same kind, or one that nearly is. */
function alike(value: unknown, next: Next): unknown {
  if (typeof value === 'number') return pick(next, [value + 1, value - 1, -value, value * 1000, value / 2, `${value}`]);
  if (typeof value === 'string')
    return pick(next, [`${value} `, value.slice(1), value.toUpperCase(), [value], texts[0]]);
  if (typeof value === 'boolean') return pick(next, [!value, `${value}`, Number(value)]);
  if (Array.isArray(value)) return pick(next, [value.toReversed(), value.slice(1), [value], { ...value }]);
  return pick(next, [null, [value], JSON.stringify(value) ?? 'undefined']);
}

/** Every place of a value, the few at the top as likely as all below them. */
function placesOf(root: object): Place[] {
  const top: Place[] = [];
  const deep: Place[] = [];
  const visit = (holder: Record<string, unknown>, depth: number) => {
    for (const key of Object.keys(holder)) {
      (depth < 3 ? top : deep).push({ holder, key });
      const inner = holder[key];
      if (typeof inner === 'object' && inner !== null) visit(inner as Record<string, unknown>, depth + 1);
    }
  };
  visit(root as Record<string, unknown>, 0);
  const repeats = top.length === 0 ? 0 : Math.min(20, Math.floor(deep.length / top.length));
  return [...deep, ...Array.from({ length: 1 + repeats }, () => top).flat()];
}
