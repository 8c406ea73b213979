import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

const built = new URL('../dist/index.js', import.meta.url);

/** What a program says that judges three rows by a function; the second row is the one that hangs. */
function judged(busy: string, { others = '' } = {}) {
  const program = `
    import { execFileSync } from 'node:child_process';
    import { inParallel, leaf, rowReward } from '${built}';
    const rows = ['one', 'two', 'three'].map((completion, at) =>
      ({ prompt: '', completion, ids: [1], ended: true, meta: { id: 'r' + at } }));
    const sleep = (ms) => new Promise((go) => setTimeout(go, ms));
    const mine = rowReward(async ({ completion }) => { ${busy} return 1; }, { name: 'mine', timeoutMs: 300 });
    const rewards = [mine, ${others}];
    try {
      await inParallel(rewards, rewards.length, undefined, (reward, _, signal) => reward.judge(rows, { signal }));
      console.log('judged');
    } catch (error) {
      console.log(error.message);
      await sleep(50);
      console.log('and goes on');
    }`;
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', program], {
    encoding: 'utf8',
    timeout: 60_000,
  });
  return { status, signal, stdout, stderr };
}

/** Of rows that were under way together, any may have been it. */
const failed = /reward `mine`: [13] of 3 rows not judged:\n {2}(rows 0 to 2|row 1 \(`r1`\)): no answer within 300 ms/;

describe.skipIf(!existsSync(built))('a function that hangs behind an `await` (skipped until `npm run build`)', () => {
  it.each([
    ['at once', "await null; if (completion === 'two') for (;;);"],
    ['behind a pause', "await sleep(20); if (completion === 'two') for (;;);"],
    ['awaiting again and again', "if (completion === 'two') for (;;) await null;"],
    ['behind its time', "if (completion === 'two') { await sleep(320); for (;;); }"],
  ])('fails its row, %s, and the program goes on', (when, busy) => {
    const { status, stdout, stderr } = judged(busy);
    expect(stdout).toMatch(failed);
    expect(stdout).toContain('and goes on');
    expect(status).toBe(0);
    if (when !== 'behind its time') expect(stderr).toContain('row 1 (`r1`)');
  });

  it('ends the rewards beside it, though they do not listen', () => {
    const others =
      "leaf({ name: 'other', judge: async () => { await null; await null; return { rewards: [1, 1, 1] }; } })";
    const { status, stdout } = judged("await null; if (completion === 'two') for (;;);", { others });
    expect(stdout).toMatch(failed);
    expect(status).toBe(0);
  });

  it('is killed where it cannot be interrupted, which says its rows', () => {
    const { signal, stderr } = judged("await null; if (completion === 'two') execFileSync('sleep', ['9']);");
    expect(signal).toBe('SIGKILL');
    expect(stderr).toMatch(/the reward `mine` on .*row 1 \(`r1`\).* does not return.*is killed \(exit code 137\)/s);
  });

  it('keeps no program alive, and leaves what answers alone', () => {
    const { status, stdout, stderr } = judged('await sleep(20);');
    expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: 'judged\n', stderr: '' });
  });
});
