/**
 * All completions of one prompt, in a world small enough to list them. A completion ends with the token `end` or when it
 * is `length` tokens long; without an end token all have the same length.
 */
export interface SequenceSpace {
  readonly vocabulary: number;
  /** Tokens of the longest completion. */
  readonly length: number;
  /** The token behind which nothing comes. */
  readonly end: number | undefined;
  /** How many completions there are. */
  readonly sequences: number;
  /** How many prefixes a token can follow; prefix 0 is the empty one. */
  readonly prefixes: number;
  /** [sequences, length]: token ids, 0 where masked. */
  readonly tokens: Int32Array;
  /** [sequences, length]: the prefix each token follows, 0 where masked. */
  readonly prefixOf: Int32Array;
  /** [sequences, length]: 1 on the tokens of a completion, its end token included. */
  readonly completionMask: Uint8Array;
  /** [sequences]: tokens of each completion. */
  readonly lengths: Float64Array;
}

export interface SpaceOptions {
  /** Tokens to choose from, the end token included. */
  readonly vocabulary?: number;
  readonly length?: number;
  /** Whether token 0 ends a completion. */
  readonly variableLength?: boolean;
}

/** Beyond this many completions a list of all is no longer small. */
const MOST = 2_000_000;

/** Lists all completions, in the order of their token ids. */
export function enumerateSequences({
  vocabulary = 8,
  length = 4,
  variableLength = true,
}: SpaceOptions = {}): SequenceSpace {
  for (const [name, value, least] of [
    ['vocabulary', vocabulary, 2],
    ['length', length, 1],
  ] as const) {
    if (!Number.isInteger(value) || value < least) {
      throw new RangeError(`\`${name}\`: expected a whole number from ${least}, got ${value}`);
    }
  }
  if (vocabulary ** length > MOST) {
    throw new RangeError(
      `\`vocabulary\` ${vocabulary} and \`length\` ${length} make ${vocabulary ** length} sequences, more than ${MOST}`,
    );
  }
  const end = variableLength ? 0 : undefined;
  const paths: { readonly tokens: readonly number[]; readonly prefixes: readonly number[] }[] = [];
  let prefixes = 0;
  const extend = (tokens: readonly number[], path: readonly number[]): void => {
    const here = [...path, prefixes++];
    for (let token = 0; token < vocabulary; token++) {
      const longer = [...tokens, token];
      if (token === end || longer.length === length) paths.push({ tokens: longer, prefixes: here });
      else extend(longer, here);
    }
  };
  extend([], []);
  const cells = paths.length * length;
  const space = { tokens: new Int32Array(cells), prefixOf: new Int32Array(cells), mask: new Uint8Array(cells) };
  paths.forEach((path, sequence) => {
    space.tokens.set(path.tokens, sequence * length);
    space.prefixOf.set(path.prefixes, sequence * length);
    space.mask.fill(1, sequence * length, sequence * length + path.tokens.length);
  });
  return {
    vocabulary,
    length,
    end,
    sequences: paths.length,
    prefixes,
    tokens: space.tokens,
    prefixOf: space.prefixOf,
    completionMask: space.mask,
    lengths: Float64Array.from(paths, ({ tokens }) => tokens.length),
  };
}
