import { appendFileSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { Events, type RunEvent } from '../events.js';
import { scratch } from '../testing/tiny.js';
import { csv, jsonl, memory, timing } from './index.js';

const place = scratch();

const start = (step: number): RunEvent => ({
  type: 'start',
  step,
  resumed: step > 0,
  steps: 4,
  stepsPerEpoch: 2,
  examples: 8,
  heldout: 2,
  config: {},
});
const step = (step: number): RunEvent => ({
  type: 'step',
  step,
  epoch: step / 2,
  loss: 1 / step,
  gradNorm: 2,
  learningRate: 0.001,
  metrics: { 'rewards/margins': step * 0.1 },
  timing: { seconds: 0.5, tokens: 40, tokensPerSecond: 80, peakRssBytes: 1000 },
});
const evaluation = (step: number): RunEvent => ({
  type: 'evaluation',
  step,
  epoch: step / 2,
  metrics: { eval_loss: 0.25, 'divergence/kl_exact': 0 },
  seconds: 2,
});
const stream = [evaluation(0), step(1), step(2), evaluation(2), step(3), step(4), evaluation(4)];
const after = (from: number) => stream.filter((event) => 'step' in event && event.step > from);

const golden = {
  jsonl: `{"step":0,"epoch":0,"eval_loss":0.25,"divergence/kl_exact":0}
{"step":1,"epoch":0.5,"loss":1,"grad_norm":2,"learning_rate":0.001,"rewards/margins":0.1}
{"step":2,"epoch":1,"loss":0.5,"grad_norm":2,"learning_rate":0.001,"rewards/margins":0.2}
{"step":2,"epoch":1,"eval_loss":0.25,"divergence/kl_exact":0}
`,
  csv: `step,epoch,key,value
0,0,eval_loss,0.25
0,0,divergence/kl_exact,0
1,0.5,loss,1
1,0.5,grad_norm,2
1,0.5,learning_rate,0.001
1,0.5,rewards/margins,0.1
2,1,loss,0.5
2,1,grad_norm,2
2,1,learning_rate,0.001
2,1,rewards/margins,0.2
2,1,eval_loss,0.25
2,1,divergence/kl_exact,0
`,
  timing: `{"step":0,"eval_seconds":2}
{"step":1,"seconds":0.5,"tokens":40,"tokens_per_second":80,"peak_rss_bytes":1000}
{"step":2,"seconds":0.5,"tokens":40,"tokens_per_second":80,"peak_rss_bytes":1000}
{"step":2,"eval_seconds":2}
`,
};

describe.each(Object.entries({ jsonl, csv, timing }))('%s', (name, logger) => {
  const play = async (file: string, events: readonly RunEvent[]) => {
    const hub = new Events([logger(file)]);
    for (const event of events) hub.emit(event);
    await hub.flush();
    return readFileSync(file, 'utf8');
  };

  it('writes the golden text', async () => {
    const text = await play(place(`golden/${name}`), [start(0), ...stream.slice(0, 4)]);
    expect(text).toBe(golden[name as keyof typeof golden]);
  });

  it('writes no step twice after a resume, whatever stood behind it', async () => {
    const whole = await play(place(`whole-${name}`), [start(0), ...stream]);
    for (const at of [1, 2, 3]) {
      const file = place(`resumed-${name}-${at}`);
      await play(file, [start(0), ...stream]);
      appendFileSync(file, '{"step":');
      expect(await play(file, [start(at), ...after(at)])).toBe(whole);
    }
  });

  it('begins anew with a fresh run', async () => {
    const file = place(`fresh-${name}`);
    const once = await play(file, [start(0), ...stream]);
    expect(await play(file, [start(0), ...stream])).toBe(once);
  });
});

describe('the hub', () => {
  it('throws what an essential logger throws: a log with a hole would be gone on from', async () => {
    const file = place('essential');
    const hub = new Events([jsonl(file), memory()]);
    hub.emit(start(0));
    rmSync(file);
    mkdirSync(file);
    expect(() => hub.emit(step(1))).toThrow(
      expect.objectContaining({ code: 'cannot-write', where: { path: file, system: 'EISDIR' } }),
    );
    await expect(hub.flush()).rejects.toMatchObject({ code: 'cannot-write' });
  });

  it('leaves out a logger that throws or rejects, and tells the others', async () => {
    const log = memory();
    const thrower = {
      name: 'thrower',
      log() {
        throw new Error('disk full');
      },
    };
    const rejecter = { name: 'rejecter', log: () => Promise.reject(new Error('no network')) };
    const hub = new Events([thrower, log, rejecter]);
    hub.emit(step(1));
    hub.emit(step(2));
    await hub.flush();
    hub.emit(step(3));
    expect(log.of('step').map((event) => event.step)).toEqual([1, 2, 3]);
    expect(log.of('warning').map(({ message }) => message)).toEqual([
      'the logger `thrower` failed and is left out: disk full',
      'the logger `rejecter` failed and is left out: no network',
    ]);
  });
});
