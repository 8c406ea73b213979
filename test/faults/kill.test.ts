import { existsSync, readFileSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { built, type Ended, pairLines, pick, random, Scratch, seedOf, start, tinyModel } from './fixture.js';
import { inspect } from './whole.js';

const kills = Number(process.env.KELPIE_KILLS ?? 20);
const seed = seedOf();
const next = random(seed);
const scratch = new Scratch();
afterAll(() => scratch.remove());

const steps = 8;
const argv = (out: string, ...more: string[]) => [
  ...['train', 'dpo', '--model', scratch.at('base'), '--data', scratch.at('pairs.jsonl'), '--out', out],
  ...['--threads', '1', '--batch-size', '4', '--max-steps', String(steps), '--learning-rate', '1e-2'],
  ...['--save-every', '1', '--evaluate-every', '3', '--sample-prompts', '2', '--sample-tokens', '4', ...more],
];

const results = ['model/model.safetensors', 'model/config.json', 'metrics.jsonl', 'run.json'];
const resultsOf = (out: string) => results.map((name) => readFileSync(join(out, name)));

/** Where a kill is to fall: at some time, or while a temporary name of this form is there. */
type Aim = { readonly afterMs: number } | { readonly during: RegExp };

interface Killed {
  readonly ended: Ended;
  /** Temporary names that were left. */
  readonly left: readonly string[];
}

/** Runs the command, looks again and again whether what stands under final names is whole, and kills it as aimed. */
async function killed(command: readonly string[], out: string, aim: Aim): Promise<Killed> {
  const began = performance.now();
  const { child, ended } = start(command);
  while (child.exitCode === null && child.signalCode === null) {
    const { temporary, broken } = inspect(out, { settled: false });
    expect(broken).toEqual([]);
    const now =
      'during' in aim
        ? temporary.some((path) => aim.during.test(basename(path)))
        : performance.now() - began > aim.afterMs;
    if (now) child.kill('SIGKILL');
    await sleep(1);
  }
  const end = await ended;
  const { temporary, broken } = inspect(out, { settled: true });
  expect(broken).toEqual([]);
  return { ended: end, left: temporary };
}

const saves = [/^\.step-/, /^\.step-/, /^\.model\./, /^\.model\./, /^\.run\.json/, /^\.(train|heldout)-/, /^\.metrics/];

describe.skipIf(!built)('kill -9 (skipped until `npm run build`)', () => {
  let whole: Buffer[];
  let wholeMs: number;

  beforeAll(async () => {
    await tinyModel(scratch.at('base'));
    scratch.write('pairs.jsonl', pairLines(20).join('\n'));
    const began = performance.now();
    const { code, err } = await start(argv(scratch.at('whole'))).ended;
    expect(code, err).toBe(0);
    wholeMs = performance.now() - began;
    whole = resultsOf(scratch.at('whole'));
  });

  it(`${kills} times, then resumed: the files of a run that was never killed`, {
    timeout: kills * 20_000,
  }, async () => {
    console.log(`kill -9: seed ${seed}; a run takes ${Math.round(wholeMs)} ms`);
    const counts = { kills: 0, duringWrite: 0, processes: 0, runs: 0 };
    while (counts.kills < kills) {
      const out = scratch.at(`run-${counts.runs++}`);
      for (;;) {
        // Half of what a process takes is its start, of which one kill is enough.
        const during = next() < 0.6 && counts.kills < kills;
        const aim: Aim = during ? { during: pick(next, saves) } : { afterMs: (0.3 + 0.8 * next()) * wholeMs };
        const { ended, left } = await killed(
          argv(out, ...(existsSync(out) ? ['--resume'] : [])),
          out,
          counts.kills < kills && next() < 0.8 ? aim : { afterMs: Number.POSITIVE_INFINITY },
        );
        counts.processes++;
        if (ended.signal === null) {
          expect(ended.code, ended.err).toBe(0);
          break;
        }
        expect(ended.signal).toBe('SIGKILL');
        counts.kills++;
        if (left.length > 0) counts.duringWrite++;
        // Killed between the last file and the end of the process: there is nothing to resume.
        if (existsSync(join(out, 'run.json'))) break;
      }
      for (const [i, bytes] of resultsOf(out).entries()) {
        expect(bytes.equals(whole[i]!), `${results[i]} of ${out}, seed ${seed}`).toBe(true);
      }
      expect(inspect(out, { settled: true }).temporary).toEqual([]);
      rmSync(out, { recursive: true });
    }
    console.log(`kill -9: ${JSON.stringify(counts)}`);
    expect(counts.duringWrite).toBeGreaterThan(0);
  });
});
