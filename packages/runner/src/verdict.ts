import { type Completion, type Policy, pathsOf } from '@kelpie/policy';
import type { Example } from './rows.js';

/** A prompt with what the policy made of it. */
export interface Sample {
  readonly id: string;
  readonly prompt: string;
  readonly completion: string;
  /** Tokens, the end token included. */
  readonly tokens: number;
  readonly ended: boolean;
}

export interface SampleOptions {
  readonly policy: Policy;
  readonly prompts: readonly Prompt[];
  readonly maxNewTokens: number;
  readonly temperature?: number;
  readonly stop?: readonly number[];
  readonly seed: number;
  /** Makes ids readable; ids are shown as numbers without it. */
  readonly decode?: (ids: readonly number[]) => string;
}

export interface Prompt {
  readonly id: string;
  readonly ids: readonly number[];
}

/** Of a text without a prompt, what is taken for one: a third of it, at most so many tokens. */
const openingTokens = 8;

/** The first different prompts of these examples that leave room for a completion; of plain texts, their openings. */
export function promptsOf(
  examples: readonly Example[],
  { count, room }: { readonly count: number; readonly room: number },
): Prompt[] {
  const prompts = new Map<string, Prompt>();
  for (const { id, tree, completionFrom } of examples) {
    if (prompts.size >= count) break;
    const paths = pathsOf(tree);
    const start = Math.min(...(completionFrom ?? paths.map(({ scoreFrom }) => scoreFrom)));
    const whole = paths[0]?.ids ?? [];
    const ids = whole.slice(0, start > 1 ? start : Math.max(1, Math.min(openingTokens, Math.floor(whole.length / 3))));
    if (ids.length > 0 && ids.length <= room && !prompts.has(ids.join())) prompts.set(ids.join(), { id, ids });
  }
  return [...prompts.values()];
}

export async function samplesOf(options: SampleOptions): Promise<Sample[]> {
  const { policy, prompts, maxNewTokens, temperature = 1, stop = [], seed } = options;
  const { decode = (ids: readonly number[]) => ids.join(' ') } = options;
  if (prompts.length === 0) return [];
  const ids = prompts.map((prompt) => prompt.ids);
  const completions = await policy.sample({ prompts: ids, maxNewTokens, temperature, stop, seed });
  return completions.map(({ prompt, ids, ended }: Completion) => ({
    id: prompts[prompt]!.id,
    prompt: decode(prompts[prompt]!.ids),
    completion: decode(ids),
    tokens: ids.length,
    ended,
  }));
}

/** One measurement before the first update and after the last. */
export interface Change {
  readonly before: number;
  readonly after: number;
}

/** What a run has done, in a few numbers and completions. What was not measured is absent. */
export interface Verdict {
  readonly steps: number;
  readonly loss?: Change;
  /** Share of held-out pairs with chosen above rejected; the mean margin of their implicit rewards. */
  readonly accuracy?: Change;
  readonly margin?: Change;
  /** Of what judges held-out pairs: how far its confidence is from its accuracy. */
  readonly calibration?: Change;
  /** Mean reward of completions of held-out prompts, and of what is only watched. */
  readonly reward?: Change;
  /** Deviation of that reward over those completions; before the first step the reference's, where it is the start. */
  readonly rewardDeviation?: Change;
  readonly watched?: Readonly<Record<string, Change>>;
  /** Nats a held-out completion: KL(policy ‖ reference), KL(reference ‖ policy). */
  readonly klExact?: Change;
  readonly forwardKl?: Change;
  /** Mean tokens of sampled completions. */
  readonly completionTokens?: Change;
  /** Of the same prompt with the same seed. */
  readonly samples: readonly { readonly prompt: string; readonly before: string; readonly after: string }[];
}

/** What is measured at either end. */
export interface Snapshot {
  readonly metrics: Readonly<Record<string, number>>;
  readonly samples: readonly Sample[];
}

export function verdictOf(
  before: Snapshot,
  after: Snapshot,
  {
    steps,
    shown = 3,
    sampleTokens = Number.POSITIVE_INFINITY,
  }: {
    readonly steps: number;
    readonly shown?: number;
    /** Tokens that a completion could have at either end, the lesser number if they differ. */
    readonly sampleTokens?: number;
  },
): Verdict {
  const change = <Key extends string>(key: Key, name: string) => {
    const [from, to] = [before.metrics[name], after.metrics[name]];
    return (from === undefined || to === undefined ? {} : { [key]: { before: from, after: to } }) as {
      [K in Key]?: Change;
    };
  };
  const pairs = before.samples.flatMap((sample) => {
    const again = after.samples.find(({ prompt }) => prompt === sample.prompt);
    return again === undefined ? [] : [{ before: sample, after: again }];
  });
  const tokens = (end: 'before' | 'after') =>
    meanTokens(
      pairs.map((pair) => pair[end]),
      sampleTokens,
    );
  return {
    steps,
    ...change('loss', 'eval_loss'),
    ...change('accuracy', 'eval_rewards/accuracies'),
    ...change('calibration', 'eval_calibration/ece'),
    ...change('margin', 'eval_rewards/margins'),
    ...change('klExact', 'divergence/kl_exact'),
    ...change('forwardKl', 'divergence/forward_kl'),
    ...(pairs.length > 0 && { completionTokens: { before: tokens('before'), after: tokens('after') } }),
    samples: pairs
      .slice(0, shown)
      .map((pair) => ({ prompt: pair.before.prompt, before: pair.before.completion, after: pair.after.completion })),
  };
}

function meanTokens(samples: readonly Sample[], most: number): number {
  return samples.reduce((sum, { tokens }) => sum + Math.min(tokens, most), 0) / samples.length;
}
