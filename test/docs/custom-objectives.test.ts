import { readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bin, built, type Ended, pairLines, Scratch, start, tinyModel } from '../faults/fixture.js';

const repository = fileURLToPath(new URL('../..', import.meta.url));
const page = readFileSync(fileURLToPath(new URL('../../docs/custom-objectives.md', import.meta.url)), 'utf8');
/** The page's code blocks of a language, in order. */
const blocks = (language: string) =>
  [...page.matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\`$`, 'gms'))].map(([, text]) => text!);
const commands = blocks('sh').flatMap((block) => block.trim().split('\n'));

/** The reader's folder: the two files of the page, the data sets, and no node_modules anywhere above. */
const scratch = new Scratch();
afterAll(() => scratch.remove());

beforeAll(() => {
  expect(built, `${bin} is not built: npm run build`).toBe(true);
  scratch.write('mine.ts', blocks('ts')[0]!);
  scratch.write('run.yaml', blocks('yaml')[0]!);
  symlinkSync(`${repository}/datasets`, scratch.at('datasets'));
});

/** Run in the reader's folder. */
function kelpie(argv: readonly string[]): Promise<Ended> {
  return start(argv, { shell: `cd ${scratch.root}` }).ended;
}

const expected: readonly (readonly [command: RegExp, says: RegExp])[] = [
  [/^kelpie certify/, /margin-dpo {2}DPO with a margin[\s\S]*π_ref e\^\{r\/beta\}[\s\S]*1 certificate: all hold/],
  [/--help$/, /Options of margin-dpo:\n +--beta <n> .*\n +--margin <n>/],
  [
    /--margin 0\.5$/,
    /kelpie train margin-dpo {2}DPO with a margin[\s\S]*loss at the reference 0\.974077 \(0\.974077 expected\)[\s\S]*after 2 steps/,
  ],
  [
    /--dry-run$/,
    /name: \.\/mine\.ts +# run\.yaml:2:3\n +beta: 0\.3 +# run\.yaml:3:3\n +margin: 2 +# --set objective\.margin=2/,
  ],
];

describe('docs/custom-objectives.md', () => {
  it('has one example, one config and the commands that are expected here', () => {
    expect([blocks('ts').length, blocks('yaml').length, commands.length]).toEqual([1, 1, expected.length]);
  });

  it.each(commands.map((command, i) => [command, i] as const))(
    '%s',
    async (command, i) => {
      const [is, says] = expected[i]!;
      expect(command).toMatch(is);
      const { code, out, err } = await kelpie(command.split(' ').slice(1));
      expect(code, err).toBe(0);
      expect(out).toMatch(says);
    },
    300_000,
  );
});

describe('a run with an objective of a file', () => {
  it('is resumed with that very file only', async () => {
    const model = await tinyModel(scratch.at('tiny'));
    const data = scratch.write('pairs.jsonl', pairLines(16).join('\n'));
    const argv = ['train', './mine.ts', '--model', model, '--data', data, '--out', 'kept', '--max-steps', '3'];
    const more = ['--batch-size', '4', '--save-every', '1', '--threads', '1', '--sample-prompts', '0'];
    const first = await kelpie([...argv, ...more]);
    expect(first.code, first.err).toBe(0);
    const { config } = JSON.parse(readFileSync(scratch.at('kept', 'run.json'), 'utf8'));
    expect(config).toMatchObject({ objective: 'margin-dpo', objectiveHash: expect.stringMatching(/^[0-9a-f]{64}$/) });
    // As if it had been stopped before it was finished.
    rmSync(scratch.at('kept', 'run.json'));
    const text = readFileSync(scratch.at('mine.ts'), 'utf8');
    writeFileSync(scratch.at('mine.ts'), text.replace('let [loss', '// Another file now.\n    let [loss'));
    const changed = await kelpie([...argv, ...more, '--resume']);
    writeFileSync(scratch.at('mine.ts'), text);
    expect(changed.code).toBe(2);
    expect(changed.err).toMatch(
      /made otherwise:\n {2}`objectiveHash`: "[0-9a-f]{64}" in the checkpoint, "[0-9a-f]{64}" now/,
    );
    const same = await kelpie([...argv, ...more, '--resume']);
    expect(same.code, same.err).toBe(0);
  });

  it('tells the line on which it failed', async () => {
    const text = blocks('ts')[0]!.replace('policy.logprobs, reference', '(policy as any).gone.logprobs, reference');
    scratch.write('wrong.ts', text);
    const line = text.slice(0, text.indexOf('.gone')).split('\n').length;
    const { code, out } = await kelpie(['certify', './wrong.ts']);
    expect(code).toBe(1);
    expect(out.replaceAll(/\s+/g, ' ')).toContain(`wrong.ts:${line}: Cannot read properties of undefined`);
  });
});
