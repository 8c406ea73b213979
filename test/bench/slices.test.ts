import { spawn } from 'node:child_process';
import { expect, test } from 'vitest';
import { runForJson } from './processes.js';
import { interleaved } from './rounds.js';
import { canSlice, Slices } from './slices.js';

const ticks = 40;
/** Notes the time every few milliseconds; a stop leaves a gap. */
const program = `const at = []; const tick = () => { at.push(Date.now()); if (at.length < ${ticks}) setTimeout(tick, 10); else console.log(JSON.stringify({ at })); }; tick();`;

test.runIf(canSlice)('programs in slices run one at a time, in turns', async () => {
  const results = await interleaved(
    ['a', 'b'].map((name) => ({
      name,
      run: (slices?: Slices) => runForJson<{ at: number[] }>(process.execPath, ['-e', program], slices && { slices }),
    })),
    1,
    () => 'done',
    { sliceMs: 100 },
  );
  const noted = [...results].flatMap(([name, [result]]) => result!.at.map((at) => ({ name, at })));
  const order = noted.sort((one, other) => one.at - other.at).map(({ name }) => name);
  const changes = order.filter((name, i) => i > 0 && name !== order[i - 1]).length;
  expect(order).toHaveLength(2 * ticks);
  expect(changes).toBeGreaterThan(2);
  // Side by side every other tick would be the other's.
  expect(changes).toBeLessThan(ticks);
});

test.runIf(canSlice)('whoever cannot be started is left out, and the others go on', async () => {
  const contestant = (name: string, command: string, optional: boolean) => ({
    name,
    optional,
    run: (slices?: Slices) => runForJson<{ at: number[] }>(command, ['-e', program], slices && { slices }),
  });
  const list = [contestant('absent', '/no/such/program', true), contestant('here', process.execPath, false)];
  const results = await interleaved(list, 1, () => 'done', { sliceMs: 60_000 });
  expect([...results.keys()]).toEqual(['here']);
});

test.runIf(canSlice)('whoever ends within a slice leaves it to the next', async () => {
  const slices = new Slices(60_000);
  const children = [0, 1, 2].map(() => {
    const child = spawn(process.execPath, ['-e', '0'], { detached: true });
    slices.join(child);
    return new Promise<number | null>((resolve) => child.on('exit', resolve));
  });
  expect(await Promise.all(children)).toEqual([0, 0, 0]);
});
