import { type OpenOptions, openPolicy } from '@kelpie/policy';
import { median } from '../figures.js';
import { answer, given, peakRssMb } from '../processes.js';
import { randomIds } from '../random-rows.js';

export interface CutInput {
  readonly open: OpenOptions;
  readonly vocabulary: number;
  readonly trees: number;
  /** Of a trunk, and of each of two branches, which count whole. */
  readonly trunk: number;
  readonly branch: number;
  readonly repeats: number;
}

export interface CutOutput {
  /** Medians of forward pass with scores, and of the way back. */
  readonly forwardSeconds: number;
  readonly backwardSeconds: number;
  readonly seconds: number;
  readonly peakRssMb: number;
}

/** One vjp and its pullback, over and over. */
async function run({ open, vocabulary, trees: count, trunk, branch, repeats }: CutInput): Promise<void> {
  const policy = await openPolicy(open);
  const trees = Array.from({ length: count }, (_, i) => ({
    trunk: randomIds(trunk, vocabulary, 3 * i),
    branches: [1, 2].map((b) => ({ ids: randomIds(branch, vocabulary, 3 * i + b), scoreFrom: trunk })),
  }));
  const [forward, backward, whole]: [number[], number[], number[]] = [[], [], []];
  for (let i = 0; i <= repeats; i++) {
    const started = performance.now();
    const { scores, pullback } = await policy.vjp({ trees, scores: ['logprobs'] });
    const between = performance.now();
    await pullback({ logprobs: Float64Array.from(scores.completionMask, (mask) => -mask / scores.rows) });
    const ended = performance.now();
    // The first one makes the sessions.
    if (i === 0) continue;
    forward.push((between - started) / 1000);
    backward.push((ended - between) / 1000);
    whole.push((ended - started) / 1000);
  }
  answer({
    forwardSeconds: median(forward),
    backwardSeconds: median(backward),
    seconds: median(whole),
    peakRssMb: peakRssMb(),
  } satisfies CutOutput);
  await policy.dispose();
}

await run(given<CutInput>());
