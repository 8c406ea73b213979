import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { built, pick, promptLines, random, Scratch, seedOf, start, tinyModel } from './fixture.js';
import { type Death, dying } from './probe.js';
import { RolloutServer } from './rollout-server.js';
import { inspect } from './whole.js';

/** Of each kind of run; `npm run faults` asks for more. */
const kills = Math.ceil(Number(process.env.KELPIE_KILLS ?? 28) / 4);
const seed = seedOf();
const next = random(seed);
const scratch = new Scratch();
afterAll(async () => {
  await server?.close();
  scratch.remove();
});

const steps = 5;
const prompts = 3;
const completions = 3;
const argv = (objective: string, out: string, ...more: string[]) => [
  ...['train', objective, '--model', scratch.at('base'), '--prompts', scratch.at('prompts.jsonl'), '--out', out],
  ...['--reward', scratch.at('mine.mjs'), '--threads', '1', '--steps', `${steps}`, '--prompts-per-step', `${prompts}`],
  ...['--completions', `${completions}`, '--max-new-tokens', '6', '--learning-rate', '1e-2', '--save-every', '2'],
  ...['--penalty', 'kl', '--controller', 'adaptive', '--rollout-epochs', '2', '--evaluate-every', '3', ...more],
];

const results = ['model/model.safetensors', 'model/config.json', 'metrics.jsonl', 'rollouts.jsonl', 'run.json'];
const critics = ['critic/model.safetensors', 'critic/config.json'];

/** What a step does, by what its process is asked meanwhile; and how often that begins in a whole run. */
const phases = {
  sampling: { at: 'sample', times: steps },
  rewarding: { at: 'reward', times: steps },
  scoring: { at: 'score', times: 2 * steps },
  training: { at: 'vjp|pull|pullback', times: 2 * steps },
  updating: { at: 'step', times: 2 * steps },
  checkpoint: { at: 'saveState', times: 2 },
  'saving the model': { at: 'save', times: 1 },
};
/** Of a run with a critic apart, which is saved beside. */
const twofold = {
  sampling: phases.sampling,
  rewarding: phases.rewarding,
  scoring: { at: 'score', times: 3 * steps },
  training: { at: 'vjp|pull|pullback', times: 4 * steps },
  updating: { at: 'step', times: 4 * steps },
  checkpoint: { at: 'saveState', times: 4 },
  'saving critic and model': { at: 'save', times: 2 },
};
/** Of a run that a server draws for. */
const served = {
  asking: { at: 'fetch', times: steps * (prompts + 1) },
  rewarding: phases.rewarding,
  updating: phases.updating,
  'handing over': { at: 'save', times: steps },
};
let server: RolloutServer;
const kinds = {
  grpo: { objective: 'grpo', phases, results, more: () => [] },
  ppo: { objective: 'ppo', phases, results, more: () => [] },
  'ppo with a critic apart': {
    objective: 'ppo',
    phases: twofold,
    results: [...results, ...critics],
    more: () => ['--critic', scratch.at('base')],
  },
  'grpo by a server': {
    objective: 'grpo',
    phases: served,
    results,
    more: () => ['--engine-url', server.url, '--engine-model', 'tiny', '--engine-handover', 'sglang'],
  },
} satisfies Record<string, Kind>;

interface Kind {
  readonly objective: string;
  readonly phases: Readonly<Record<string, { readonly at: string; readonly times: number }>>;
  /** Files that are the same whatever happened meanwhile. */
  readonly results: readonly string[];
  readonly more: () => string[];
}

/** A line for each completion of each step, no step twice and none left out. */
function requireRollouts(out: string): void {
  const lines = readFileSync(join(out, 'rollouts.jsonl'), 'utf8').trimEnd().split('\n');
  const found = lines.map((line) => (JSON.parse(line) as { step: number }).step);
  const expected = Array.from({ length: steps }, (_, at) => Array(prompts * completions).fill(at + 1)).flat();
  expect(found).toEqual(expected);
}

describe.skipIf(!built)('kill -9 of a run on fresh completions (skipped until `npm run build`)', () => {
  beforeAll(async () => {
    await tinyModel(scratch.at('base'));
    server = await RolloutServer.open(scratch.at('base'));
    scratch.write('prompts.jsonl', promptLines(7).join('\n'));
    // Slow enough for a kill to fall into.
    scratch.write(
      'mine.mjs',
      `export default async ({ ids }) => {
        globalThis.probed?.('reward');
        await new Promise((done) => setTimeout(done, 5));
        return ids.filter((id) => id % 2 === 0).length;
      };`,
    );
  });

  it('between critic and model, without a checkpoint: begun again, the files of a run that was never killed', {
    timeout: 240_000,
  }, async () => {
    const { objective, results, more } = kinds['ppo with a critic apart'];
    const command = (out: string, ...others: string[]) =>
      argv(objective, out, ...more(), '--steps', '2', '--save-every', '0', ...others);
    const [whole, out] = [scratch.at('between-whole'), scratch.at('between')];
    const { code, err } = await start(command(whole)).ended;
    expect(code, err).toBe(0);
    const death = { at: 'save', nth: 2, delayMs: 0 };
    const { signal } = await start(command(out), { env: dying(scratch, death) }).ended;
    expect(signal).toBe('SIGKILL');
    expect(readdirSync(out)).toContain('critic');
    expect(readdirSync(out)).not.toContain('model');
    expect(existsSync(join(out, 'checkpoints'))).toBe(false);
    const resumed = await start(command(out, '--resume')).ended;
    expect(resumed.code, resumed.err).toBe(0);
    for (const name of results)
      expect(readFileSync(join(out, name)).equals(readFileSync(join(whole, name))), name).toBe(true);
  });

  it.each(Object.entries(kinds))(
    '%s: in each phase, resumed: the files of a run that was never killed',
    {
      timeout: 60_000 + kills * 40_000,
    },
    async (kind, { objective, phases, results, more }: Kind) => {
      const resultsOf = (out: string) => results.map((name) => readFileSync(join(out, name)));
      const command = (out: string, ...others: string[]) => argv(objective, out, ...more(), ...others);
      console.log(`kill -9 of ${kind}: seed ${seed}`);
      const whole = scratch.at(`${kind}-whole`);
      const { code, err } = await start(command(whole)).ended;
      expect(code, err).toBe(0);
      const expected = resultsOf(whole);
      requireRollouts(whole);

      const names = Object.keys(phases);
      const counts: Record<string, number> = {};
      let [done, processes] = [0, 0];
      for (let run = 0; done < kills; run++) {
        const out = scratch.at(`${kind}-${run}`);
        for (let dead = true; dead; ) {
          // Each phase in turn, then any; of a run that goes on, early, since it may not have much left.
          const phase = done < names.length ? names[done]! : pick(next, names);
          const { at, times } = phases[phase]!;
          const resume = existsSync(out) ? ['--resume'] : [];
          const death: Death = {
            at,
            nth: 1 + Math.floor(next() * (resume.length > 0 ? times / 2 : times)),
            delayMs: 12 * next(),
          };
          const options = done < kills ? { env: dying(scratch, death) } : {};
          const { signal, code, err } = await start(command(out, ...resume), options).ended;
          expect(inspect(out, { settled: true }).broken, `${phase}, seed ${seed}`).toEqual([]);
          expect(++processes, `processes for ${kills} kills, seed ${seed}`).toBeLessThan(20 + 4 * kills);
          dead = signal !== null;
          if (!dead) expect(code, err).toBe(0);
          if (!dead) break;
          expect(signal).toBe('SIGKILL');
          counts[phase] = (counts[phase] ?? 0) + 1;
          done++;
          // Killed between the last file and the end of the process: there is nothing to resume.
          if (existsSync(join(out, 'run.json'))) break;
        }
        for (const [i, bytes] of resultsOf(out).entries())
          expect(bytes.equals(expected[i]!), `${results[i]} of ${out}, seed ${seed}`).toBe(true);
        requireRollouts(out);
        expect(inspect(out, { settled: true }).temporary).toEqual([]);
        rmSync(out, { recursive: true });
      }
      console.log(`kill -9 of ${kind}: ${processes} processes, ${JSON.stringify(counts)}`);
      if (kills >= names.length) expect(Object.keys(counts).sort()).toEqual(names.toSorted());
    },
  );
});
