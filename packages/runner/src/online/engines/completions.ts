import { jsonOf, PostError, wrongAnswer } from '@kelpie/rewards';
import { z } from 'zod';

/** What is asked for one prompt. */
export interface CompletionQuestion {
  readonly model: string;
  readonly prompt: readonly number[];
  readonly completions: number;
  readonly maxNewTokens: number;
  readonly temperature: number;
  readonly stop: readonly number[];
  readonly seed: number;
  readonly vocabularySize: number;
}

export interface ServedCompletion {
  readonly ids: number[];
  /** [ids], as the server has them. */
  readonly logprobs: Float64Array;
  readonly ended: boolean;
}

/**
 * The body of POST /v1/completions. A server that keeps sampling defaults beside a model (vLLM and SGLang read
 * `generation_config.json`) would draw from another distribution than the policy's: so those that bend it are set.
 */
export function requestBody({ model, prompt, completions, maxNewTokens, ...how }: CompletionQuestion): string {
  return JSON.stringify({
    model,
    prompt,
    n: completions,
    max_tokens: maxNewTokens,
    temperature: how.temperature,
    seed: how.seed,
    stop_token_ids: how.stop,
    logprobs: 1,
    return_token_ids: true,
    return_tokens_as_token_ids: true,
    top_p: 1,
    top_k: -1,
    min_p: 0,
    repetition_penalty: 1,
    stream: false,
  });
}

const choice = z.object({
  index: z.int(),
  finish_reason: z.string().nullish(),
  stop_reason: z.union([z.string(), z.number()]).nullish(),
  token_ids: z.array(z.int()).nullish(),
  prompt_token_ids: z.array(z.int()).nullish(),
  logprobs: z
    .object({
      tokens: z.array(z.string()).nullish(),
      token_logprobs: z.array(z.number().nullable()).nullish(),
    })
    .nullish(),
});
type Choice = z.output<typeof choice>;
const answer = z.object({ choices: z.array(choice) });

/**
 * Completions in the order of `choices[].index`. Read are, of each choice:
 *   token_ids, else logprobs.tokens written `token_id:N`     the ids, the end token included
 *   logprobs.token_logprobs                                  of each id
 *   finish_reason, stop_reason                               `length`, or `stop` with an end token of the run as last id
 *   prompt_token_ids, if it is there                         has to be the prompt
 * Anything else is an error; a completion that the server broke off is worth another try.
 */
export function readCompletions(url: string, text: string, question: CompletionQuestion): ServedCompletion[] {
  const { success, data, error } = answer.safeParse(jsonOf(url, text));
  if (!success) {
    const [issue] = error.issues;
    throw wrongAnswer(url, `\`${issue!.path.join('.')}\`: ${issue!.message}`);
  }
  const { completions } = question;
  const choices = data.choices.toSorted((a, b) => a.index - b.index);
  if (choices.length !== completions || choices.some(({ index }, at) => index !== at)) {
    const found = choices.map(({ index }) => index).join(', ');
    throw wrongAnswer(
      url,
      `expected ${completions} \`choices\` of indices from 0, got ${choices.length} of [${found}]`,
    );
  }
  return choices.map((one) => readChoice(url, one, question));
}

function readChoice(url: string, one: Choice, question: CompletionQuestion): ServedCompletion {
  const { index, finish_reason: reason } = one;
  const wrong = (what: string) => wrongAnswer(url, `of completion ${index} ${what}`);
  if (reason !== 'stop' && reason !== 'length') {
    const message = `${url} broke completion ${index} off: \`finish_reason\` is ${JSON.stringify(reason ?? null)}`;
    throw new PostError(message, { status: 200, again: true });
  }
  const read = one.prompt_token_ids;
  if (read && (read.length !== question.prompt.length || read.some((id, at) => id !== question.prompt[at]))) {
    throw wrong(
      `the prompt was read as other ids than were sent: ${read.length} of them, expected ${question.prompt.length}`,
    );
  }
  const ids = idsOf(url, one);
  requireIds(ids, { reason, stopReason: one.stop_reason, wrong }, question);
  const logprobs = one.logprobs?.token_logprobs;
  if (!logprobs) {
    throw wrong(
      'there are no log-probabilities: expected `logprobs.token_logprobs`; vLLM gives them unless it was started with `--max-logprobs 0`',
    );
  }
  const at = logprobs.indexOf(null);
  if (logprobs.length !== ids.length || at >= 0) {
    const found = at >= 0 ? `none for token ${at}` : `${logprobs.length}`;
    throw wrong(`expected ${ids.length} log-probabilities, one an id, got ${found}`);
  }
  return { ids, logprobs: Float64Array.from(logprobs as number[]), ended: question.stop.includes(ids.at(-1)!) };
}

const AS_ID = /^token_id:(\d+)$/;

function idsOf(url: string, { index, token_ids: ids, logprobs }: Choice): number[] {
  if (ids) return ids;
  const spelled = logprobs?.tokens?.map((token) => AS_ID.exec(token)?.[1]);
  if (spelled && spelled.length > 0 && spelled.every((id) => id !== undefined)) return spelled.map(Number);
  throw wrongAnswer(
    url,
    `completion ${index} is without token ids: expected \`token_ids\`, or \`logprobs.tokens\` written \`token_id:N\`. Its text alone will not do: encoded again it may be other tokens than were sampled. vLLM gives ids from 0.10.2 on (\`return_token_ids\`), an older one when started with \`--return-tokens-as-token-ids\`; SGLang where it knows \`return_token_ids\``,
  );
}

function requireIds(
  ids: readonly number[],
  {
    reason,
    stopReason,
    wrong,
  }: {
    readonly reason: string;
    readonly stopReason: Choice['stop_reason'];
    readonly wrong: (what: string) => PostError;
  },
  { maxNewTokens, stop, vocabularySize }: CompletionQuestion,
): void {
  if (ids.length === 0 || ids.length > maxNewTokens)
    throw wrong(`there are ${ids.length} ids, expected 1 to ${maxNewTokens}`);
  const unknown = ids.find((id) => id < 0 || id >= vocabularySize);
  if (unknown !== undefined)
    throw wrong(`id ${unknown} is none of the policy's ${vocabularySize}: does the server have the same model?`);
  const passed = ids.slice(0, -1).find((id) => stop.includes(id));
  if (passed !== undefined)
    throw wrong(`the end token ${passed} does not end it: does the server know \`stop_token_ids\`?`);
  if (reason === 'stop' && !stop.includes(ids.at(-1)!)) {
    const by = typeof stopReason === 'number' ? ` by token ${stopReason}` : '';
    throw wrong(
      `the server says that it ended${by}, but its last id ${ids.at(-1)} is no end token of the run ([${stop.join(', ')}]): either the server has others, then give them to the run, or it leaves the end token out of the ids`,
    );
  }
}
