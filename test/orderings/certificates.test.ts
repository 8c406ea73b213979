import { readFileSync } from 'node:fs';
import { theoryChecks } from '@kelpie/objectives/certify';
import { beforeAll, describe, expect, test } from 'vitest';
import { type Certified, certificatesPage } from '../../apps/cli/src/certify-markdown.js';
import { run } from '../../apps/cli/src/main.js';

/** `kelpie certify all --json`, once for everything below. */
let result: Certified;
let code: number;

beforeAll(async () => {
  let stdout = '';
  code = await run(['certify', 'all', '--json'], {
    stdout: { write: (text) => (stdout += text) },
    stderr: { write: () => {} },
    env: {},
    onInterrupt: () => () => {},
    exit: () => {},
  });
  result = JSON.parse(stdout) as Certified;
}, 1_800_000);

test('everything holds, and the command leaves with 0', () => {
  const failed = result.certificates.filter(({ passed }) => !passed);
  expect(
    failed.map(({ objective, checks }) => ({ objective, checks: checks.filter(({ passed }) => !passed) })),
  ).toEqual([]);
  expect(result.theory.filter(({ passed }) => !passed)).toEqual([]);
  expect(result.theory).toHaveLength(theoryChecks.length);
  expect({ passed: result.passed, code }).toEqual({ passed: true, code: 0 });
});

test('docs/certificates.md is what the command writes: `npm run generate:certificates`', () => {
  const page = readFileSync(new URL('../../docs/certificates.md', import.meta.url), 'utf8');
  expect(certificatesPage(result)).toBe(page);
});

describe('orderings', () => {
  const found = (name: RegExp) => {
    const ordering = result.orderings.find((one) => name.test(one.name));
    if (!ordering) throw new Error(`no ordering ${name}`);
    return ordering;
  };

  test.each([
    [/^forward KL more diverse/],
    [/^reverse KL more accurate/],
    [/^sequential KL of chosen and of rejected/],
    [/^TDPO2 at alpha 0 is DPO/],
    [/^chi-squared above KL under a proxy with heavy-tailed errors/],
    [/^neither of chi-squared and KL ahead/],
    [/^more reward-model data, higher peak/],
  ])('%s', (name) => {
    const { reproduced, required, found: figures } = found(name);
    expect({ reproduced, required }, figures).toEqual({ reproduced: true, required: true });
  });

  test('what does not reproduce is told as such, and fails nothing', () => {
    for (const name of [/^DPO above PPO/, /^Jensen-Shannon more diverse/]) {
      expect(found(name)).toMatchObject({ reproduced: false, required: false });
    }
  });

  test('regime and seeds are stated', () => {
    for (const { regime } of result.orderings) expect(regime).toMatch(/20 (seeds|random batches)/);
  });
});
