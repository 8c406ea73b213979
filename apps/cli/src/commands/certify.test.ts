import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Certified } from '../certify-markdown.js';
import { run } from '../main.js';

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'kelpie-certify-'));
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function certify(...what: readonly string[]) {
  const said = { stdout: '', stderr: '' };
  const stream = (name: keyof typeof said) => ({
    write: (text: string) => {
      said[name] += text;
    },
  });
  const code = await run(['certify', ...what], {
    stdout: stream('stdout'),
    stderr: stream('stderr'),
    env: {},
    onInterrupt: () => () => {},
    exit: () => {},
  });
  return { code, ...said };
}

test('one objective in full: errors, what is allowed, what was compared', async () => {
  const { code, stdout } = await certify('sft', '--trials', '1');
  expect(code).toBe(0);
  expect(stdout).toContain('Supervised fine-tuning');
  expect(stdout.replaceAll(/\s+/g, ' ')).toContain('log-probabilities reach the distribution of the rows');
  expect(stdout).toMatch(/1 certificate: all hold, in \d+s/);
});

test('several in a table, one row each', async () => {
  const { stdout } = await certify('sft', 'dpo', 'dpo', '--trials', '1');
  expect(stdout).toMatch(/^sft +ok +ok +ok +ok +ok +ok +the distribution of the rows$/m);
  expect(stdout).toMatch(/^dpo +ok +ok +ok +ok +ok +ok +π_ref e\^\{r\/beta\}$/m);
  expect(stdout).toContain('2 certificates: all hold');
});

test('as JSON: settings, claims, every check with its number', async () => {
  const { stdout } = await certify('dpo', '--json', '--trials', '1', '--seed', '5', '--vocabulary', '2');
  const { passed, certificates, theory, orderings } = JSON.parse(stdout) as Certified;
  expect({ passed, theory, orderings }).toEqual({ passed: true, theory: [], orderings: [] });
  expect(certificates[0]).toMatchObject({
    objective: 'dpo',
    settings: { seed: 5, vocabulary: 2, length: 2, trials: 1 },
    claims: [{ options: {}, optimum: 'π_ref e^{r/beta}' }, {}, {}],
  });
  expect(certificates[0]!.checks.map(({ name }) => name)).toContain('estimator');
});

test('what does not hold is told, and leaves with 1', async () => {
  const file = join(folder, 'twice.ts');
  writeFileSync(
    file,
    `import { defineObjective, dpo } from '@kelpie/objectives';
export default defineObjective({
  ...dpo,
  name: 'twice',
  options: {},
  claims: () => ({}),
  claimedAt: [],
  needsOf: () => dpo.needsOf(),
  atReference: () => undefined,
  evaluate(input) {
    const evaluation = dpo.evaluate(input);
    return { ...evaluation, loss: 2 * evaluation.loss };
  },
});
`,
  );
  const { code, stdout } = await certify(file, '--trials', '1');
  expect(code).toBe(1);
  expect(stdout).toMatch(/gradient +FAILED/);
  expect(stdout).toMatch(/estimator +FAILED/);
  expect(stdout).toContain('1 certificate: 1 do not hold');
});

test('an unknown name leads to the nearest', async () => {
  const { code, stderr } = await certify('dpoo');
  expect(code).toBe(2);
  expect(stderr).toContain('`dpo`');
});

test('a world with too much to look at is refused', async () => {
  const { code, stderr } = await certify('sft', '--vocabulary', '4', '--length', '4');
  expect(code).toBe(2);
  expect(stderr).toContain('make 121 completions');
});
