import { type OpenOptions, openPolicy } from '@kelpie/policy';
import { answer, given, peakRssMb } from '../processes.js';
import { randomIds } from '../random-rows.js';

export interface DecodeInput {
  readonly open: OpenOptions;
  readonly vocabulary: number;
  /** Tokens of a prompt, and of a completion. */
  readonly prompt: number;
  readonly tokens: number;
  /** Rows decoded side by side, one measurement each. */
  readonly batches: readonly number[];
  /** Completions that share a prompt; 1 as the peers have it. */
  readonly group: number;
}

export interface DecodeOutput {
  readonly decode: Readonly<Record<string, { readonly tokens_per_s: number }>>;
  readonly peakRssMb: number;
}

/** Sampling at temperature 1 to a fixed length, prefill included. */
async function run({ open, vocabulary, prompt, tokens, batches, group }: DecodeInput): Promise<void> {
  const policy = await openPolicy(open);
  const decode: Record<string, { tokens_per_s: number }> = {};
  for (const rows of batches) {
    const completions = Math.min(group, rows);
    const prompts = Array.from({ length: rows / completions }, (_, i) => randomIds(prompt, vocabulary, i));
    const request = { prompts, completions, rows, seed: 1 };
    await policy.sample({ ...request, maxNewTokens: 4 });
    const started = performance.now();
    await policy.sample({ ...request, maxNewTokens: tokens });
    const seconds = (performance.now() - started) / 1000;
    decode[rows] = { tokens_per_s: (rows * tokens) / seconds };
  }
  answer({ decode, peakRssMb: peakRssMb() } satisfies DecodeOutput);
  await policy.dispose();
}

await run(given<DecodeInput>());
