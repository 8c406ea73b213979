import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { openTokenizer, type Tokenizer } from '@kelpie/policy';
import { inParallel } from '@kelpie/rewards';
import { arms, openProxy } from './arms.js';
import { type LabelRecord, trainLabels } from './labels.js';
import { drawReference, type Reference, type Standing, standingOf } from './reference.js';
import { nameOf, type Place, type RunRecord, runOnce } from './run.js';
import { penalties, type RunSettings, type Settings } from './settings.js';
import { base, gold } from './shipped.js';
import { readJson, writeJson } from './store.js';
import { lastOf } from './summary.js';

/**
 * Every run of a sweep, in the order of its stages, so that one which is ended early holds whole ones: the swept proxies
 * without a penalty; the reward model with each; the planted proxies with each; those that are not swept. Seed by seed.
 */
export function placesOf({
  arms: chosen,
  seeds,
  coefficients,
}: Pick<Settings, 'arms' | 'seeds' | 'coefficients'>): Place[] {
  const places = seeds.flatMap((seed) =>
    chosen.flatMap((arm) =>
      penalties
        .filter((penalty) => penalty === 'none' || arms[arm].swept)
        .flatMap((penalty) => coefficients[penalty].map((coefficient) => ({ arm, penalty, coefficient, seed }))),
    ),
  );
  const stageOf = ({ arm, penalty }: Place): number => {
    if (!arms[arm].swept) return 3;
    if (penalty === 'none') return 0;
    return arm === 'labels' ? 1 : 2;
  };
  return places.sort((a, b) => stageOf(a) - stageOf(b));
}

export interface Results {
  readonly runs: readonly RunRecord[];
  readonly labels: readonly LabelRecord[];
  /** Runs of the sweep that are not there. */
  readonly missing: readonly Place[];
}

/** Runs what its folder lacks, `parallel` at once, and gives all that is there. */
export async function sweep(settings: Settings, tell: (line: string) => void): Promise<Results> {
  const { out, run, drawOnly } = settings;
  const places = placesOf(settings);
  const left = places.filter((place) => recordOf(out, place, run) === undefined);
  if (!drawOnly && left.length > 0) {
    tell(`${places.length} runs, ${places.length - left.length} of them there already`);
    await runAll(left, settings, tell);
  }
  const records = places.map((place) => ({ place, record: recordOf(out, place, run) }));
  return {
    runs: records.flatMap(({ record }) => record ?? []),
    missing: records.flatMap(({ place, record }) => (record === undefined ? [place] : [])),
    labels: labelsIn(out),
  };
}

async function runAll(
  places: readonly Place[],
  { out, run, parallel, threads, minutes }: Settings,
  tell: (line: string) => void,
): Promise<void> {
  const tokenizer = await openTokenizer(base);
  const reference = await referenceIn(out, { run, tokenizer, threads });
  const scratch = join(out, 'work');
  const modelOf = ({ arm, seed }: Place): string => join(out, 'reward-models', `${arm}-seed-${seed}`);
  const prepare = async (place: Place): Promise<Standing> => {
    const { arm, seed } = place;
    const model = modelOf(place);
    const learnt = arms[arm].draws === 'labels';
    if (learnt) await trainLabels(model, { arm, seed, settings: run, tokenizer, threads });
    const proxy = await openProxy(arm, { ...run, seed, gold, moments: reference.gold, model, threads });
    try {
      return await standingOf(reference, proxy, { planted: !learnt });
    } finally {
      await proxy.dispose();
    }
  };
  const standings = new Map<string, Promise<Standing>>();
  const started = performance.now();
  const minutesSoFar = () => (performance.now() - started) / 60_000;
  let done = 0;
  await inParallel(places, parallel, undefined, async (place) => {
    if (minutesSoFar() > minutes) return;
    const proxy = `${place.arm} ${place.seed}`;
    if (!standings.has(proxy)) standings.set(proxy, prepare(place));
    const standing = await standings.get(proxy)!;
    const model = modelOf(place);
    const record = await runOnce(place, { settings: run, tokenizer, reference, standing, scratch, model, threads });
    writeJson(fileOf(out, place), record);
    done++;
    const { proxy: reached, gold: actual, kl } = lastOf(record);
    const left = (minutesSoFar() / done) * (places.length - done);
    const numbers = `proxy ${reached.toFixed(2)}, true ${actual.toFixed(2)}, KL ${kl.toFixed(1)}`;
    const times = `${record.seconds.toFixed(0)} s, ${left.toFixed(0)} min left`;
    tell(`${done}/${places.length}  ${nameOf(place)}: ${numbers}; ${times}`);
  });
}

const fileOf = (out: string, place: Place): string => join(out, 'results', `${nameOf(place)}.json`);

function recordOf(out: string, place: Place, settings: RunSettings): RunRecord | undefined {
  const file = fileOf(out, place);
  if (!existsSync(file)) return undefined;
  const record = readJson<RunRecord>(file);
  if (isDeepStrictEqual(record.settings, settings)) return record;
  const keys = Object.keys(settings) as (keyof RunSettings)[];
  const differing = keys.filter((key) => record.settings[key] !== settings[key]);
  const told = differing.map((key) => `${key} ${record.settings[key]}, now ${settings[key]}`).join('; ');
  throw new Error(`${file}: made with other settings (${told}): give the same ones, or take another --out`);
}

async function referenceIn(
  out: string,
  { run, tokenizer, threads }: { readonly run: RunSettings; readonly tokenizer: Tokenizer; readonly threads: number },
): Promise<Reference> {
  const file = join(out, 'reference.json');
  const { reference: count, maxNewTokens } = run;
  if (existsSync(file)) {
    const found = readJson<Reference>(file);
    if (isDeepStrictEqual(found.settings, { reference: count, maxNewTokens })) return found;
    const expected = `${count} completions of at most ${maxNewTokens} tokens`;
    throw new Error(`${file}: expected ${expected}, found ${JSON.stringify(found.settings)}: take another --out`);
  }
  const reference = await drawReference(run, tokenizer, threads);
  writeJson(file, reference);
  return reference;
}

function labelsIn(out: string): LabelRecord[] {
  const folder = join(out, 'reward-models');
  if (!existsSync(folder)) return [];
  const names = readdirSync(folder).filter((name) => /-seed-\d+$/.test(name));
  return names
    .map((name) => readJson<LabelRecord>(join(folder, name, 'heldout.json')))
    .sort((a, b) => b.labels - a.labels || a.seed - b.seed);
}
