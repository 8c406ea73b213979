import type { Where } from './error.js';

export type Severity = 'error' | 'warning' | 'note';

interface Kind {
  readonly severity: Severity;
  /** What was found, behind a count: `3 of 100 rows ...`. */
  readonly what: string;
  /** What it does to training. */
  readonly effect: string;
  /** What to do about it. */
  readonly advice: string;
}

interface KindFacts extends Kind {
  /** What to do where the usual advice is followed already. */
  readonly otherwise?: string;
}

/** Everything that can be found, the worst first. */
const kinds = {
  'no-rows': {
    severity: 'error',
    what: 'rows can be trained on',
    effect: 'Training stops before it begins.',
    advice: 'Check that these are the files you mean; what else is said here is why their rows are of no use.',
  },
  'bad-rows': {
    severity: 'error',
    what: 'rows cannot be read as rows of this format',
    effect: 'Training stops before it begins, unless bad rows are to be dropped.',
    advice: 'Mend them, or leave them out with `--on-bad-row drop`.',
  },
  'empty-side': {
    severity: 'error',
    what: 'rows have a completion without words',
    effect: 'There is nothing to score: training stops before it begins, unless bad rows are to be dropped.',
    advice: 'Write the completion, or leave the rows out with `--on-bad-row drop`.',
  },
  'identical-pairs': {
    severity: 'error',
    what: 'pairs have the same completion on both sides',
    effect: 'They have no margin and no gradient: training stops before it begins, unless bad rows are to be dropped.',
    advice: 'Leave them out with `--on-bad-row drop`, or find out what lost the difference.',
  },
  'long-prompts': {
    severity: 'error',
    what: 'rows have a prompt that alone fills the length',
    effect: 'There is no room for a completion: training stops before it begins, unless bad rows are to be dropped.',
    advice:
      'Leave the rows out with `--on-bad-row drop`, raise `--max-length` if the context allows it, or have prompts cut with `--truncation prompt-start`.',
  },
  'one-label': {
    severity: 'warning',
    what: 'rows have the same label',
    effect: 'There is nothing to tell apart: `train kto` and its like raise or lower everything alike.',
    advice: 'Add rows of the other label, or take `train sft` on wanted completions.',
  },
  'uneven-labels': {
    severity: 'warning',
    what: 'rows have one label, more than four of it to one of the other',
    effect: 'The gradient is nearly that of one side alone.',
    advice:
      'Weigh the rarer side, with `train kto` by `--desirable-weight` or `--undesirable-weight`, or even out the rows.',
  },
  'bad-margins': {
    severity: 'warning',
    what: 'pairs have no number as their `margin`, which others have',
    effect: '`train reward --use-margin` stops before it begins.',
    advice: 'Give every pair a number, or leave `--use-margin` off.',
  },
  'bad-ties': {
    severity: 'warning',
    what: 'pairs have a `tie` that is neither true nor false',
    effect: '`train reward --ties` stops before it begins.',
    advice: 'Write true or false, or leave the column out of those rows.',
  },
  contradictions: {
    severity: 'warning',
    what: 'rows also stand in the data with the opposite judgement',
    effect: 'Each undoes what the other teaches, and accuracy cannot reach 100 %.',
    advice: 'Keep the judgement that is right, or drop both; `labelSmoothing` expects such noise.',
  },
  duplicates: {
    severity: 'warning',
    what: 'rows are copies of earlier rows',
    effect: 'They weigh as often as they stand there, and are memorised first.',
    advice: 'Keep one of each.',
  },
  'over-context': {
    severity: 'warning',
    what: 'rows do not fit the length and are left out',
    effect: 'Nothing is learnt from them, and the data that is left is shorter than the data there was.',
    advice: 'Shorten them, raise `--max-length` if the context allows it, or take another `--truncation`.',
  },
  truncated: {
    severity: 'warning',
    what: 'rows are cut to the length',
    effect:
      'Completions are judged on a prompt without its beginning or, with `end`, lose their end and the end token.',
    advice:
      'Shorten prompts, raise `--max-length` if the context allows it, or leave such rows out with `--truncation drop`.',
  },
  'without-end': {
    severity: 'warning',
    what: 'rows have a completion without the end token',
    effect: 'The model is not taught to stop, and may run on.',
    advice: "Let the chat template write the end token behind the assistant's turn.",
  },
  'unknown-tokens': {
    severity: 'warning',
    what: 'rows have text that the vocabulary lacks',
    effect: 'The model sees the unknown token instead, and may learn to write it.',
    advice: 'Replace those characters, or take a model whose tokenizer knows them.',
  },
  'longer-wins': {
    severity: 'warning',
    what: 'pairs are won by the longer completion',
    effect: 'Length alone explains most preferences: the policy may learn to write more rather than better.',
    advice: 'Add pairs that the shorter one wins, and watch the length of completions in the verdict.',
  },
  'shorter-wins': {
    severity: 'warning',
    what: 'pairs are won by the shorter completion',
    effect: 'Length alone explains most preferences: the policy may learn to write less rather than better.',
    advice: 'Add pairs that the longer one wins, and watch the length of completions in the verdict.',
  },
  'common-prompts': {
    severity: 'note',
    what: 'rows have a prompt that stands in more than 8 rows',
    effect:
      'These prompts decide on more of the gradient than others. Held-out rows never share a prompt with the data.',
    advice: 'Fine if it is meant; else take a few rows of each prompt.',
  },
  'boundary-merges': {
    severity: 'note',
    what: "rows where the prompt's last tokens merge with the completion's first",
    effect: 'The merged piece counts as completion, so a little of the prompt is scored.',
    advice: 'End prompts without a space and begin completions with one.',
    otherwise:
      'Prompts end without a space and completions begin with one, as they should: this tokenizer has pieces across that too. End prompts in another character, a line break for instance, if none of it may be scored.',
  },
  'heldout-copies': {
    severity: 'warning',
    what: 'held-out rows also stand in the data',
    effect: 'What is measured on them is memory: losses and accuracies look better than they are.',
    advice: 'Take them out of one of the two.',
  },
  'mostly-prompts': {
    severity: 'note',
    what: 'tokens are prompts',
    effect: 'Most of the time goes into tokens that nothing is learnt from; of a pair the prompt is computed once.',
    advice: 'Shorten prompts where their beginning does not matter, with a smaller `--max-length`.',
  },
} as const satisfies Record<string, KindFacts>;

export type FindingCode = keyof typeof kinds;

/** One thing found, with what it does and what to do about it. */
export interface Finding extends Kind {
  readonly code: FindingCode;
  readonly count: number;
  readonly of: number;
  /** Numbers beside the count. Empty if there are none. */
  readonly detail: string;
  /** The first places. */
  readonly where: readonly Where[];
}

const shownPlaces = 3;

export function finding(
  code: FindingCode,
  {
    count,
    of,
    where,
    detail = '',
    followed = false,
  }: { count: number; of: number; where: readonly Where[]; detail?: string; followed?: boolean },
): Finding {
  const { otherwise, advice, ...kind }: KindFacts = kinds[code];
  const told = followed && otherwise !== undefined ? otherwise : advice;
  return { code, ...kind, advice: told, count, of, detail, where: where.slice(0, shownPlaces) };
}
