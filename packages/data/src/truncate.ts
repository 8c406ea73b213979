import type { Sequence } from '@kelpie/policy';
import type { Reason } from './error.js';

/**
 * What happens to a row that is too long.
 * - `prompt-start`: the beginning of the prompt is cut and the completions are kept whole; a beginning token stays. A row
 *   whose completion alone is too long is dropped.
 * - `end`: the end of the row is cut, end token included (TRL's `keep_start`); a row whose prompt fills the length is
 *   dropped.
 * - `drop`: the row is dropped. - `error`: the row is a bad row.
 */
export type Truncation = 'prompt-start' | 'end' | 'drop' | 'error';

export const truncations: readonly Truncation[] = ['prompt-start', 'end', 'drop', 'error'];

export type Truncated =
  | { readonly sequences: readonly Sequence[]; readonly cutTokens: number }
  | { readonly reason: Reason; readonly expected: string; readonly received: string };

export interface TruncateOptions {
  /** Tokens a sequence may have, at most. */
  readonly maxLength: number;
  readonly rule: Truncation;
  readonly bosTokenId?: number | undefined;
}

type Rule = (sequences: readonly Sequence[], longest: number, options: TruncateOptions) => Truncated;

const refuse: Rule = (_, longest, { maxLength }) => ({
  reason: 'too-long',
  expected: `at most ${maxLength} tokens`,
  received: `${longest}`,
});

function cutEnd(sequences: readonly Sequence[], _longest: number, { maxLength }: TruncateOptions): Truncated {
  const full = sequences.find(({ scoreFrom }) => scoreFrom >= maxLength);
  if (full !== undefined)
    return {
      reason: 'prompt-fills-length',
      expected: `a prompt of fewer than ${maxLength} tokens`,
      received: `${full.scoreFrom}`,
    };
  const cutTokens = sequences.reduce((sum, { ids }) => sum + Math.max(0, ids.length - maxLength), 0);
  return { cutTokens, sequences: sequences.map(({ ids, scoreFrom }) => ({ ids: ids.slice(0, maxLength), scoreFrom })) };
}

/** Both sides of a pair lose the same tokens, so that they still share their prompt. */
function cutPromptStart(
  sequences: readonly Sequence[],
  longest: number,
  { maxLength, bosTokenId }: TruncateOptions,
): Truncated {
  const cut = longest - maxLength;
  const start = bosTokenId !== undefined && sequences[0]?.ids[0] === bosTokenId ? 1 : 0;
  const room = Math.min(...sequences.map(({ scoreFrom }) => scoreFrom)) - 1;
  if (cut > room)
    return {
      reason: 'completion-too-long',
      expected: `a completion that leaves room for one token in ${maxLength}`,
      received: `${longest - room} tokens with it`,
    };
  return {
    cutTokens: cut * sequences.length,
    sequences: sequences.map(({ ids, scoreFrom }) => ({
      ids: [...ids.slice(0, start), ...ids.slice(start + cut)],
      scoreFrom: scoreFrom - cut,
    })),
  };
}

const rules: Readonly<Record<Truncation, Rule>> = {
  'prompt-start': cutPromptStart,
  end: cutEnd,
  drop: refuse,
  error: refuse,
};

export function truncate(sequences: readonly Sequence[], options: TruncateOptions): Truncated {
  const longest = Math.max(...sequences.map(({ ids }) => ids.length));
  if (longest <= options.maxLength) return { sequences, cutTokens: 0 };
  return rules[options.rule](sequences, longest, options);
}
