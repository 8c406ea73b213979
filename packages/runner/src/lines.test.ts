import { appendFileSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { Events, type RolloutRecord } from './events.js';
import { LineFile } from './lines.js';
import { rollouts } from './loggers/index.js';
import { jsonStep } from './loggers/jsonl.js';
import { scratch } from './testing/tiny.js';

const place = scratch();
const begin = { type: 'start', steps: 9, stepsPerEpoch: 1, examples: 1, heldout: 0, config: {} } as const;

const row = (step: number, at: number): RolloutRecord => ({
  step,
  promptId: `p${at}`,
  prompt: '日本'.repeat(at % 7),
  completion: 'né'.repeat(2000 + 37 * at),
  ids: [at],
  ended: true,
  logprobs: [-1],
  rewards: {},
  watched: {},
  reward: 0,
  penalty: 0,
  advantage: 0,
});

it('cuts a log of many blocks at the step that is resumed, to the byte', async () => {
  const file = place('rollouts.jsonl');
  const log = new Events([rollouts(file)]);
  const steps = (from: number, to: number) => {
    for (let step = from; step <= to; step++)
      log.emit({ type: 'rollouts', step, rows: Array.from({ length: 50 }, (_, at) => row(step, at)) });
  };
  log.emit({ ...begin, step: 0, resumed: false });
  steps(1, 4);
  const upTo4 = readFileSync(file);
  steps(5, 9);
  const whole = readFileSync(file);
  expect(statSync(file).size).toBeGreaterThan(3 << 20);
  appendFileSync(file, JSON.stringify(row(10, 0)).slice(0, 5000));

  log.emit({ ...begin, step: 4, resumed: true });
  expect(readFileSync(file).equals(upTo4)).toBe(true);
  steps(5, 9);
  await log.flush();
  expect(readFileSync(file).equals(whole)).toBe(true);
});

it('leaves out a line that is none and keeps what stands behind it', () => {
  const file = place('damaged.jsonl');
  writeFileSync(file, '{"step":1}\n{"st\n{"step":2}\n{"step":3}\n');
  new LineFile(file, { stepOf: jsonStep }).start({ ...begin, step: 2, resumed: true });
  expect(readFileSync(file, 'utf8')).toBe('{"step":1}\n{"step":2}\n');
});
