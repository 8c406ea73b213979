import { readFileSync } from 'node:fs';
import { dpo, type Objective, sft, tdpo2 } from '@kelpie/objectives';
import { describe, expect, it } from 'vitest';
import { jsonl, memory } from './loggers/index.js';
import { type OfflineRun, trainOffline } from './offline.js';
import { scratch, tinyOptions, tinyPairs, tinyPolicy } from './testing/tiny.js';

const place = scratch();

const moving = { ...tinyOptions, syncReferenceEvery: 2, evaluateEvery: 1 };

async function train(name: string, more: Partial<OfflineRun> = {}) {
  const log = memory();
  const outFolder = place(name);
  await using policy = await tinyPolicy(place('model'));
  const result = await trainOffline({
    policy,
    objective: dpo as Objective,
    examples: tinyPairs(24),
    heldout: tinyPairs(6, 100),
    options: moving,
    outFolder,
    loggers: [log, jsonl(`${outFolder}/metrics.jsonl`)],
    ...more,
  });
  const read = (file: string) => readFileSync(`${outFolder}/${file}`);
  return { result, log, read, losses: log.of('step').map(({ loss }) => loss) };
}

describe('a reference that moves every two steps', () => {
  it('begins like one that stands still, and parts from it behind the second step', async () => {
    const still = await train('still', { options: { ...moving, syncReferenceEvery: 0 } });
    const moved = await train('moved');
    expect(moved.losses.slice(0, 2)).toEqual(still.losses.slice(0, 2));
    expect(moved.losses[2]).not.toBe(still.losses[2]);
    const warnings = moved.log.of('warning').map(({ message }) => message);
    expect(warnings).toContainEqual(expect.stringContaining('the reference moves'));
  });

  it('made the policy each time, begins every other step at log 2', async () => {
    const { losses, log } = await train('hard', { options: { ...moving, referenceMixture: 1 } });
    for (const at of [0, 2, 4]) expect(losses[at]).toBeCloseTo(Math.LN2, 5);
    for (const at of [1, 3, 5]) expect(losses[at]).toBeLessThan(Math.LN2 - 1e-3);
    // Held-out rows behind steps 2 and 4 are still compared with what those were trained against.
    const held = log.of('evaluation').map(({ metrics }) => metrics['divergence/kl_exact']!);
    expect(held[0]).toBeLessThan(1e-5);
    for (const kl of held.slice(1)) expect(kl).toBeGreaterThan(1e-4);
  });

  it.each([1, 2, 3])('goes on bit for bit when it was stopped behind step %i', async (at) => {
    const whole = await train(`whole-${at}`);
    const controller = new AbortController();
    const stop = {
      name: 'stop',
      log: (event: { readonly type: string; readonly step?: number }) => {
        if (event.type === 'step' && event.step === at) controller.abort();
      },
    };
    const loggers = [jsonl(`${place(`parts-${at}`)}/metrics.jsonl`), stop];
    const stopped = await train(`parts-${at}`, { signal: controller.signal, loggers });
    expect(stopped.result).toMatchObject({ stopped: true, step: at });
    const resumed = await train(`parts-${at}`, { resume: true });
    expect(resumed.losses).toEqual(whole.losses.slice(at));
    expect(resumed.read('model/model.safetensors').equals(whole.read('model/model.safetensors'))).toBe(true);
  });

  it('moves for divergences over the vocabulary too', async () => {
    const still = await train('tdpo-still', {
      objective: tdpo2 as Objective,
      options: { ...moving, syncReferenceEvery: 0 },
    });
    const moved = await train('tdpo-moved', { objective: tdpo2 as Objective });
    expect(moved.losses.slice(0, 2)).toEqual(still.losses.slice(0, 2));
    expect(moved.losses[2]).not.toBe(still.losses[2]);
  });

  it('is refused where nothing reads it, or nothing can move', async () => {
    await expect(train('none', { objective: sft as Objective })).rejects.toThrow(/`sft` reads no reference/);
    const policy = await tinyPolicy(place('model'), { keepReference: false });
    await expect(train('fixed', { policy })).rejects.toThrow(/keepReference `moving`/);
  });
});
