import { setTimeout as wait } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { Gate } from './gate.js';

const { signal } = new AbortController();

/** A gate that tells what goes on in the order in which it happens. */
function told({ stale, renew = async () => {} }: { readonly stale: boolean; readonly renew?: () => Promise<void> }) {
  const happened: string[] = [];
  const gate = new Gate({
    stale,
    renew: async () => {
      happened.push('renewing');
      await wait(5);
      await renew();
      happened.push('renewed');
    },
  });
  const pass = (name: string, ms = 1, fails = false) =>
    gate.through(
      async () => {
        happened.push(name);
        await wait(ms);
        happened.push(`${name} done`);
        if (fails) throw new Error(name);
      },
      { row: name, signal, spoils: () => true },
    );
  return { happened, pass };
}

it('renews what is stale once, before anyone goes through', async () => {
  const { happened, pass } = told({ stale: true });
  await Promise.all([pass('a'), pass('b')]);
  expect(happened).toEqual(['renewing', 'renewed', 'a', 'b', 'a done', 'b done']);
});

it('renews behind a failure, when nothing is under way, and only once for those that failed together', async () => {
  const { happened, pass } = told({ stale: false });
  const slow = pass('slow', 40);
  const failing = [pass('x', 1, true), pass('y', 2, true)];
  expect((await Promise.allSettled(failing)).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  await Promise.all([pass('x again'), pass('y again'), slow]);
  const at = (what: string) => happened.indexOf(what);
  expect(happened.filter((what) => what === 'renewing')).toHaveLength(1);
  expect(at('slow done')).toBeLessThan(at('renewing'));
  expect(at('renewed')).toBeLessThan(at('x again'));
});

it('lets nobody through where it cannot be renewed, and tries again for the next', async () => {
  let broken = true;
  const { happened, pass } = told({
    stale: true,
    renew: async () => {
      if (broken) throw new Error('nobody there');
    },
  });
  const both = await Promise.allSettled([pass('a'), pass('b')]);
  expect(both.every(({ status }) => status === 'rejected')).toBe(true);
  broken = false;
  await pass('c');
  expect(happened).not.toContain('a');
  expect(happened.at(-1)).toBe('c done');
});
