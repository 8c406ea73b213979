import { readFileSync } from 'node:fs';
import { dpo, type Needs, sft } from '@kelpie/objectives';
import { describe, expect, it } from 'vitest';
import { memory } from './loggers/index.js';
import { jsonl } from './loggers/jsonl.js';
import { type OfflineRun, trainOffline } from './offline.js';
import { altered, scratch, tinyOptions, tinyPairs, tinyPolicy, tinyTexts } from './testing/tiny.js';

const place = scratch();
const objective = dpo;

/** The same pairs as one loss that must see the whole step. */
const wholeDpo = { ...objective, separable: false };

async function train(name: string, more: Partial<OfflineRun> & { dtype?: 'float64' } = {}) {
  const { dtype, ...run } = more;
  const policy = run.policy ?? (await tinyPolicy(place('model'), dtype === undefined ? {} : { dtype }));
  const log = memory();
  const outFolder = place(name);
  const result = await trainOffline({
    policy,
    objective,
    examples: tinyPairs(24),
    heldout: tinyPairs(6, 100),
    options: tinyOptions,
    outFolder,
    loggers: [log, jsonl(`${outFolder}/metrics.jsonl`)],
    ...run,
  });
  const read = (file: string) => readFileSync(`${outFolder}/${file}`);
  return { result, log, read, policy, losses: log.of('step').map(({ loss }) => loss), outFolder };
}

/** Aborts when step `at` has been logged. */
function stopAt(at: number) {
  const controller = new AbortController();
  const logger = {
    name: 'stop',
    log: (event: { type: string; step?: number }) => {
      if (event.type === 'step' && event.step === at) controller.abort();
    },
  };
  return { signal: controller.signal, logger };
}

describe('the offline loop', () => {
  it('lowers the loss of pairs and of texts', async () => {
    const pairs = await train('falls');
    expect(pairs.losses[0]).toBeCloseTo(Math.LN2, 5);
    expect(pairs.losses.at(-1)).toBeLessThan(0.6);
    expect(pairs.result.verdict).toMatchObject({ steps: 6, accuracy: { after: 1 } });
    expect(pairs.result.metrics['divergence/kl_exact']).toBeGreaterThan(0);
    const texts = await train('falls-sft', {
      objective: sft,
      examples: tinyTexts(24),
      heldout: tinyTexts(6, 100),
    });
    expect(texts.losses.at(-1)).toBeLessThan(texts.losses[0]! - 0.2);
  });

  it('takes the same steps from 1 x 8 rows as from 8 x 1, split or seen as a whole', async () => {
    const at = (rows: number) => ({ options: { ...tinyOptions, microBatchRows: rows }, dtype: 'float64' as const });
    const one = await train('1x8', at(8));
    const others = [
      await train('8x1', at(1)),
      await train('whole-1x8', { ...at(8), objective: wholeDpo }),
      await train('whole-3', { ...at(3), objective: wholeDpo }),
    ];
    for (const other of others) {
      one.log.of('step').forEach((step, i) => {
        const found = other.log.of('step')[i]!;
        expect(Math.abs(found.loss - step.loss)).toBeLessThan(1e-10);
        expect(Math.abs(found.gradNorm / step.gradNorm - 1)).toBeLessThan(1e-10);
        for (const [key, value] of Object.entries(step.metrics)) expect(found.metrics[key]).toBeCloseTo(value, 9);
      });
    }
    const single = await train('8x1-float32', { options: { ...tinyOptions, microBatchRows: 1 } });
    expect(Math.abs(single.losses[0]! - one.losses[0]!)).toBeLessThan(1e-5);
  });

  it('writes the same bytes twice, and when stopped and resumed', async () => {
    const whole = await train('whole');
    const again = await train('again');
    for (const file of ['metrics.jsonl', 'model/model.safetensors', 'run.json']) {
      expect(again.read(file).equals(whole.read(file)), file).toBe(true);
    }
    for (const k of [1, 3, 4]) {
      const { signal, logger } = stopAt(k);
      const outFolder = place(`stopped-${k}`);
      const loggers = [jsonl(`${outFolder}/metrics.jsonl`), logger];
      const stopped = await train(`stopped-${k}`, { signal, loggers });
      expect(stopped.result).toMatchObject({ stopped: true, step: k, steps: 6 });
      const resumed = await train(`stopped-${k}`, { resume: true });
      expect(resumed.log.of('start')[0]).toMatchObject({ step: k, resumed: true });
      for (const file of ['metrics.jsonl', 'model/model.safetensors', 'run.json']) {
        expect(resumed.read(file).equals(whole.read(file)), `${file} after ${k}`).toBe(true);
      }
    }
  });

  it('goes back to the last checkpoint when it died behind it', async () => {
    const options = { ...tinyOptions, saveEvery: 2, keepCheckpoints: 1 };
    const whole = await train('alive', { options });
    const policy = await tinyPolicy(place('model'));
    let steps = 0;
    const dying = altered(policy, {
      step: (rate) => (++steps === 4 ? Promise.reject(new Error('gone')) : policy.step(rate)),
    });
    const log = place('died/metrics.jsonl');
    await expect(train('died', { options, policy: dying, loggers: [jsonl(log)] })).rejects.toThrow('gone');
    expect(readFileSync(log, 'utf8').split('\n').at(-2)).toMatch(/^{"step":3,/);
    const resumed = await train('died', { options, resume: true });
    expect(resumed.log.of('start')[0]).toMatchObject({ step: 2 });
    for (const file of ['metrics.jsonl', 'model/model.safetensors', 'run.json']) {
      expect(resumed.read(file).equals(whole.read(file)), file).toBe(true);
    }
  });

  it('refuses a folder in use, another config, and an objective that needs rollouts', async () => {
    const { signal, logger } = stopAt(1);
    await train('taken', { signal, loggers: [logger] });
    await expect(train('taken')).rejects.toMatchObject({ code: 'run-exists' });
    const other = { resume: true, options: { ...tinyOptions, learningRate: 2e-2 } };
    await expect(train('taken', other)).rejects.toThrow('`options.learningRate`: 0.01 in the checkpoint, 0.02 now');
    const loose = { resume: true, options: { ...tinyOptions, saveEvery: 3 } };
    expect((await train('taken', loose)).result.stopped).toBe(false);
    const needsOf = (): Needs => ({ policy: ['logprobs'], reference: [], old: ['logprobs'] });
    const online = { ...dpo, needsOf };
    await expect(train('online', { objective: online })).rejects.toMatchObject({ code: 'objective-not-offline' });
    await expect(train('odd', { options: { learningRate: -1 } })).rejects.toMatchObject({ code: 'bad-option' });
  });

  it('goes on with other measurements, and further where the learning rate is constant', async () => {
    const whole = await train('long', { options: { ...tinyOptions, maxSteps: 8 } });
    const { signal, logger } = stopAt(2);
    await train('longer', { signal, loggers: [logger], options: { ...tinyOptions, maxSteps: 4 } });
    const options = { ...tinyOptions, maxSteps: 8, evaluateEvery: 0, samplePrompts: 2, sampleTokens: 3 };
    const { result, read } = await train('longer', { resume: true, options });
    expect(result).toMatchObject({ stopped: false, steps: 8 });
    expect(read('model/model.safetensors').equals(whole.read('model/model.safetensors'))).toBe(true);
    expect(result.verdict?.samples).toHaveLength(2);
    expect(result.verdict?.completionTokens?.before).toBeLessThanOrEqual(3);
  });

  it('refuses other rows, and warns of a warm-up that never ends', async () => {
    const { signal, logger } = stopAt(1);
    const options = { ...tinyOptions, warmupSteps: 6 };
    await train('rows', { signal, loggers: [logger], options });
    const rows = { resume: true, options, examples: tinyPairs(24, 1) };
    await expect(train('rows', rows)).rejects.toThrow('which was made otherwise:\n  the rows differ\nUse');
    const again = await train('warm', { options });
    expect(again.log.of('warning').map(({ message }) => message)).toEqual([
      'the warm-up takes 6 steps and the run has 6: the learning rate never reaches its peak',
    ]);
  });

  it('stops at the first score that is no number, and writes nothing', async () => {
    const policy = await tinyPolicy(place('model'));
    let calls = 0;
    const broken = altered(policy, {
      vjp: async (request) => {
        const vjp = await policy.vjp(request);
        if (++calls === 2) vjp.scores.logprobs![vjp.scores.tokens * 3] = Number.NaN;
        return vjp;
      },
    });
    const options = { ...tinyOptions, shuffle: false };
    await expect(train('nan', { policy: broken, options })).rejects.toMatchObject({
      code: 'not-finite',
      where: { score: 'logprobs', branch: 1, token: 0, step: 2, row: expect.stringMatching(/^pair-/) },
    });
    expect(() => readFileSync(place('nan/run.json'))).toThrow();
    expect(readFileSync(place('nan/metrics.jsonl'), 'utf8').trim().split('\n')).toHaveLength(2);
  });

  it('goes on without divergences where the policy keeps no reference', async () => {
    const policy = await tinyPolicy(place('model'), { keepReference: false });
    const { log, result } = await train('no-reference', { policy });
    expect(log.of('warning').map(({ message }) => message)).toEqual([
      'the policy keeps no reference: its divergence is not measured after the first step',
    ]);
    expect(result.metrics).not.toHaveProperty('divergence/kl_exact');
  });
});
