import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { getObjective } from '@kelpie/objectives';
import { describe, expect, it } from 'vitest';
import { schemaText } from '../commands/config.js';
import { withObjective as put } from '../commands/train.js';
import { requireRun } from '../start.js';
import { originText } from './entry.js';
import { flagLayer, setLayer } from './flags.js';
import { configReader, type Layer, readConfig } from './read.js';
import { resolveConfig } from './resolve.js';
import { keysOf } from './schema.js';

const root = mkdtempSync(join(tmpdir(), 'kelpie-config-'));
const dpo = getObjective('dpo');

function file(name: string, text: string): string {
  const path = join(root, name);
  writeFileSync(path, text);
  return path;
}

const withObjective = (argv: readonly string[]) => put(argv, configReader());

const resolved = (layers: readonly Layer[], name = 'dpo') => resolveConfig(getObjective(name), layers);

/** What a config is refused with, the temporary folder shown as `ROOT`. */
function refusal(text: string, name = 'dpo'): string {
  try {
    resolved(readConfig(file('bad.yaml', text)), name);
  } catch (error) {
    return (error as Error).message.replaceAll(root, 'ROOT');
  }
  return 'accepted';
}

describe('precedence', () => {
  it('is defaults, what is extended, files, flags, --set', () => {
    file(
      'base.yaml',
      'objective: { name: dpo, beta: 0.2 }\ntraining: { epochs: 2, batchSize: 8, seed: 1, beta1: 0.8 }\n',
    );
    const run = file('run.yaml', 'extends: base.yaml\ntraining:\n  batchSize: 16\n  seed: 2\n  beta1: 0.7\n');
    const flags = [
      { attribute: 'seed', flag: '--seed', value: 3 },
      { attribute: 'beta1', flag: '--beta1', value: 0.6 },
    ];
    const { config, origins } = resolved([...readConfig(run), flagLayer(flags, dpo), setLayer(['training.beta1=0.5'])]);
    expect(config.objective).toMatchObject({ name: 'dpo', beta: 0.2, labelSmoothing: 0 });
    expect(config.training).toMatchObject({ epochs: 2, batchSize: 16, seed: 3, beta1: 0.5, beta2: 0.999 });
    const from = (key: string) => originText(origins.get(key)!).replaceAll(root, 'ROOT');
    expect(
      ['objective.beta', 'training.batchSize', 'training.seed', 'training.beta1', 'training.beta2'].map(from),
    ).toEqual(['ROOT/base.yaml:1:25', 'ROOT/run.yaml:3:3', '--seed', '--set training.beta1=0.5', 'default']);
  });

  it('lets a later layer choose the other of two alternatives', () => {
    const layers = readConfig(file('init.yaml', 'model: { init: config.json }\ndata: { heldout: h.jsonl }\n'));
    const { config } = resolved([...layers, setLayer(['model.path=base', 'data.heldoutFraction=0.2'])]);
    expect(config.model).toEqual({ path: 'base' });
    expect(config.data).toMatchObject({ heldoutFraction: 0.2 });
    expect(config.data.heldout).toBeUndefined();
  });

  it('reads values of --set as YAML does', () => {
    const sets = [
      'lora.targets=[q_proj, v_proj]',
      'training.shuffle=false',
      'data.columns.prompt=question',
      'lora.rank=4',
    ];
    const { config } = resolved([setLayer(sets)]);
    expect(config).toMatchObject({
      lora: { rank: 4, targets: ['q_proj', 'v_proj'] },
      training: { shuffle: false },
      data: { columns: { prompt: 'question' } },
    });
    expect(() => setLayer(['beta'])).toThrow('expected `key=value`');
    expect(() => setLayer(['a.b=[1'])).toThrow('cannot read the value of `a.b=[1` as YAML');
  });
});

describe('refusals name place and nearest key', () => {
  it.each([
    [
      'objective:\n  bta: 0.3\n',
      'ROOT/bad.yaml:2:3: `objective.bta`: unknown key; nearest: `objective.beta`, `objective.nllWeight`',
    ],
    ['learning_rate: 1\n', 'ROOT/bad.yaml:1:1: `learning_rate`: unknown key; nearest: `training.learningRate`'],
    [
      'training: { lr: 1, beta: 2 }',
      'ROOT/bad.yaml:1:13: `training.lr`: unknown key; nearest: `training.learningRate`\nROOT/bad.yaml:1:20: `training.beta`: unknown key; nearest: `objective.beta`',
    ],
    [
      'training:\n  batchSize: 1.5\n  schedule: step\n  shuffle: 1\n',
      'ROOT/bad.yaml:2:3: `training.batchSize`: expected a whole number from 1, got 1.5\nROOT/bad.yaml:3:3: `training.schedule`: expected one of `constant`, `linear`, `cosine`, got "step"\nROOT/bad.yaml:4:3: `training.shuffle`: expected true or false, got 1',
    ],
    [
      'data:\n  heldoutFraction: 1.5\n',
      'ROOT/bad.yaml:2:3: `data.heldoutFraction`: expected a share below 1 or a whole number of rows from 1, got 1.5',
    ],
    [
      'training:\n  heldout: 0.2\n',
      'ROOT/bad.yaml:2:3: `training.heldout`: unknown key; nearest: `data.heldout`, `data.heldoutFraction`',
    ],
    [
      'training: { learningRate: .inf, eps: -.inf, beta1: .nan }',
      'ROOT/bad.yaml:1:13: `training.learningRate`: expected a number from 0, got .inf\nROOT/bad.yaml:1:33: `training.eps`: expected a number above 0, got -.inf\nROOT/bad.yaml:1:45: `training.beta1`: expected a number from 0, below 1, got .nan',
    ],
    ['objective:\n  beta:\n', 'ROOT/bad.yaml:2:3: `objective.beta`: expected a number above 0, got nothing'],
    ['model:\n  path: [a]\n', 'ROOT/bad.yaml:2:3: `model.path`: expected text, got ["a"]'],
    ['data:\n  files: { a: b }\n', 'ROOT/bad.yaml:2:3: `data.files`: expected text or a list of texts, got {"a":"b"}'],
    ['lora: 16\n', 'ROOT/bad.yaml:1:1: `lora`: expected keys below it'],
    ['- a\n', 'ROOT/bad.yaml:1:1: expected keys such as `objective:` and `model:`'],
    [
      'data: { columns: { prompt: { a: 1 } } }',
      'ROOT/bad.yaml:1:20: `data.columns.prompt`: expected text, got {"a":1}',
    ],
    [
      'model: { path: a, init: b }',
      'ROOT/bad.yaml:1:19: `model.init`: not together with `model.path`: give one of the two',
    ],
    ['seed: 1\nseed: 2\n', 'ROOT/bad.yaml:2:1: Map keys must be unique'],
    ['a: [1\n', 'ROOT/bad.yaml:2:1: Flow sequence in block collection must be sufficiently indented and end with a ]'],
    ['? [a]\n: b\n', 'ROOT/bad.yaml:1:3: With stringKeys, all keys must be strings'],
    [
      'model: { path: *gone }',
      'ROOT/bad.yaml:1:10: `model.path`: Unresolved alias (the anchor must be set before the alias): gone',
    ],
    ['__proto__: { a: 1 }', 'ROOT/bad.yaml:1:1: `__proto__`: unknown key; nearest: `data`, `lora`, `model`'],
    ['extends: 3\n', 'ROOT/bad.yaml:1:1: `extends`: expected a file or a list of files'],
    ['extends: bad.yaml\n', 'ROOT/bad.yaml:1:1: `ROOT/bad.yaml` extends itself'],
    ['extends: none.yaml\n', 'ROOT/bad.yaml:1:1: cannot read `ROOT/none.yaml`: there is no such file'],
  ])('%j', (text, message) => {
    expect(refusal(text)).toBe(message);
  });

  it('tells of a key that other objectives use', () => {
    expect(refusal('data:\n  score: all\n')).toMatch(
      /^ROOT\/bad\.yaml:2:3: `data\.score`: the objective `dpo` does not use it, only .*`sft`.*; nearest: `data\.scoreFrom`, /,
    );
  });

  it.each([
    ['dpo', 'online: { prompts: a.jsonl }', '`online.prompts`', 'data.files'],
    ['dpo', 'online: { heldoutPrompts: a.jsonl }', '`online.heldoutPrompts`', 'data.heldout'],
    ['dpo', 'online: { steps: 3 }', '`online.steps`', 'training.maxSteps'],
    ['dpo', 'online: { maxNewTokens: 3 }', '`online.maxNewTokens`', 'data.maxLength'],
    ['grpo', 'data: { files: a.jsonl }', '`data.files`', 'online.prompts'],
    ['grpo', 'data: { heldout: a.jsonl }', '`data.heldout`', 'online.heldoutPrompts'],
    ['grpo', 'data: { heldoutFraction: 0.1 }', '`data.heldoutFraction`', 'online.heldoutFraction'],
    ['grpo', 'data: { columns: { prompt: question } }', '`data.columns.prompt`', 'online.promptField'],
    ['grpo', 'training: { batchSize: 3 }', '`training.batchSize`', 'online.promptsPerStep'],
    ['grpo', 'training: { maxSteps: 3 }', '`training.maxSteps`', 'online.steps'],
  ])('of a key that others use, under %s: %s', (objective, text, key, nearest) => {
    const message = refusal(text, objective);
    expect(message).toContain(`${key}: the objective \`${objective}\` does not use it, only \``);
    expect(/; nearest: `([^`]+)`/.exec(message)?.[1]).toBe(nearest);
  });

  /** What is named instead of a key. */
  const placesNear = (key: string, name: string): string[] => {
    let message = '';
    try {
      resolved([setLayer([`${key}=1`])], name);
    } catch (error) {
      message = (error as Error).message;
    }
    const [, places = ''] = /does not use it, only .*; nearest: (.*)$/.exec(message) ?? [];
    return places.split(', ').flatMap((place) => /^`(.*)`$/.exec(place)?.[1] ?? []);
  };

  it('of every key that only others use', () => {
    expect(placesNear('online', 'dpo')).toEqual(['data']);
    expect(placesNear('data', 'grpo')).toEqual(['online']);
    for (const [name, other] of [
      ['dpo', 'grpo'],
      ['grpo', 'dpo'],
      ['sft', 'dpo'],
    ] as const) {
      const own = keysOf(getObjective(name));
      for (const [section, keys] of keysOf(getObjective(other)))
        for (const key of keys.filter((key) => section !== 'objective' && !own.get(section)?.includes(key))) {
          expect(placesNear(`${section}.${key}`, name), `${name}: ${section}.${key}`).not.toEqual([]);
          for (const place of placesNear(`${section}.${key}`, name)) {
            const [to = '', at = ''] = place.split('.');
            expect(own.get(to), place).toContain(at);
          }
        }
    }
  });

  it('refuses what would be endless or enormous', () => {
    const levels = 'expected at most 200 levels of lists and objects';
    expect(refusal('['.repeat(100_000))).toBe(`ROOT/bad.yaml:1:201: ${levels}`);
    for (const depth of [201, 3000, 100_000]) {
      const nested = '['.repeat(depth) + ']'.repeat(depth);
      expect(refusal(`# one\ndata: { files: ${nested} }`)).toBe(
        `ROOT/bad.yaml:2:${'data: { files: '.length + 199}: ${levels}`,
      );
      expect(refusal(`data:\n  files: ${'{"]": '.repeat(depth)}1${'}'.repeat(depth)}`)).toMatch(levels);
      expect(refusal('- '.repeat(depth))).toMatch(levels);
      expect(refusal(Array.from({ length: Math.min(depth, 1400) }, (_, i) => `${' '.repeat(i)}a:`).join('\n'))).toMatch(
        levels,
      );
      expect(() => setLayer([`data.files=${nested}`])).toThrow(levels);
    }
    const deepest = `data: { files: ${'['.repeat(190)}a${']'.repeat(190)} } # ${'['.repeat(300)}\nmodel: { path: "${'['.repeat(300)}" }`;
    expect(refusal(deepest)).toMatch('`data.files`: expected text or a list of texts, got [[[');
    expect(refusal('data: { files: &a [*a, *a] }')).toBe(`ROOT/bad.yaml:1:9: \`data.files\`: ${levels}`);
    expect(() => setLayer(['data.files=&a [*a]'])).toThrow('--set: cannot read');
    const bomb = [
      'a: &a [x,x,x,x,x,x,x,x,x]',
      ...[...'bcdefghi'].map((k, i) => `${k}: &${k} [${Array(9).fill(`*${'abcdefgh'[i]}`)}]`),
    ];
    expect(refusal(bomb.join('\n'))).toMatch(/Excessive alias count/);
    expect(refusal('#'.repeat(2 ** 20 + 1))).toMatch(/more than 1 MiB/);
  });

  it('takes a file that is empty, or whose keys are commented out', () => {
    expect(refusal('')).toBe('accepted');
    expect(refusal('training:\n  # epochs: 2\n')).toBe('accepted');
  });
});

describe('the objective', () => {
  it('is put into a command line that leaves it to the file', () => {
    const run = file('named.yaml', 'objective: { name: sft }\n');
    expect(withObjective(['train', '--config', run, '--epochs', '2'])).toEqual([
      'train',
      'sft',
      '--config',
      run,
      '--epochs',
      '2',
    ]);
    expect(withObjective(['train', `-c`, run, '--set', 'objective.name=dpo'])[1]).toBe('dpo');
    expect(withObjective(['train', 'dpo', '--config', run])[1]).toBe('dpo');
    expect(() => withObjective(['train', '--config', file('other.yaml', 'objective: { name: dp }')])).toThrow(
      'other.yaml:1:14: `objective.name`: there is no objective `dp`; nearest: `dpo`',
    );
    expect(() => withObjective(['train', '--config', file('none.yaml', '')])).toThrow('names none');
    expect(withObjective(['train', `-c${run}`])[1]).toBe('sft');
    expect(withObjective(['train', `--config=${run}`, '--epochs', '2'])[1]).toBe('sft');
    expect(withObjective(['train', '--set', 'objective.name=dpo', '--dry-run'])[1]).toBe('dpo');
    expect(withObjective(['train', '--help'])).toEqual(['train', '--help']);
  });

  it.each([[['--config']], [['--dry-run']], [['--resume']], [['--max-steps', '1', 'dpo']]])(
    'is asked for by train %j',
    (flags) => {
      expect(() => withObjective(['train', ...flags])).toThrow(
        'which objective? name one behind `train`: say `kelpie train dpo ...`, or write',
      );
    },
  );

  it('of the config is that of the command', () => {
    const run = file('of-sft.yaml', 'objective: { name: sft }\n');
    const message =
      '`objective.name`: "sft" here, but the command is `train dpo`: say the same in both, or leave it to the config';
    expect(() => resolved(readConfig(run))).toThrow(`of-sft.yaml:1:14: ${message}`);
    expect(() => resolved([setLayer(['objective.name=sft'])])).toThrow(`--set objective.name=sft: ${message}`);
    const set = setLayer(['objective.name=dpo']);
    expect(resolved([...readConfig(run), set]).origins.get('objective.name')).toEqual(set[0]!.origin);
  });
});

describe('what does not go together', () => {
  const refused = (text: string, sets: readonly string[] = []) => {
    const layers = [...readConfig(file('start.yaml', text)), setLayer(sets)];
    try {
      requireRun(resolved(layers), { resume: false });
    } catch (error) {
      return (error as Error).message.replaceAll(root, 'ROOT');
    }
    return 'accepted';
  };
  const init = `model: { init: ${join(root, 'start.yaml')} }\n`;

  it('is told with its place', () => {
    expect(refused(`${init}lora: { alpha: 4 }\n`)).toBe(
      'ROOT/start.yaml:2:9: `lora.alpha`: goes with an adapter: give its rank, `--lora` or `lora.rank`',
    );
    expect(refused(init, ['lora.rslora=true'])).toMatch(/^--set lora.rslora=true: `lora.rslora`: goes with/);
    expect(refused(`${init}output: { merge: true }\n`)).toMatch(/^ROOT\/start.yaml:2:11: `output.merge`: goes with/);
    expect(refused('model: { path: nowhere }\n')).toBe(
      'ROOT/start.yaml:1:10: `model.path`: there is no folder `nowhere`',
    );
    expect(refused(`${init}data: { files: a }\noutput: { folder: ${join(root, 'start.yaml')} }\n`)).toBe(
      'ROOT/start.yaml:3:11: `output.folder`: `ROOT/start.yaml` is a file: name a folder',
    );
  });
});

describe('a file', () => {
  it.skipIf(process.platform === 'win32')('that is a pipe is read once', () => {
    const pipe = join(root, 'pipe');
    execFileSync('mkfifo', [pipe]);
    const writer = spawn('bash', ['-c', `echo 'objective: { name: sft }' > ${pipe}`]);
    const read = configReader();
    const argv = put(['train', '--config', pipe], read);
    expect(argv[1]).toBe('sft');
    expect(resolved(read(pipe), 'sft').config.objective.name).toBe('sft');
    writer.kill();
  });

  it('that is a folder is told as one', () => {
    expect(() => readConfig(root)).toThrow(`--config: cannot read \`${root}\`: it is a folder, not a file`);
  });
});

describe('the schema', () => {
  it('is the committed one; else: npm run generate', () => {
    const committed = readFileSync(new URL('../../../../docs/config.schema.json', import.meta.url), 'utf8');
    expect(`${schemaText()}\n`).toBe(committed);
  });

  it('lets a config fit more than one objective, as it may before it names one', () => {
    expect(schemaText()).not.toContain('"oneOf"');
    expect(schemaText()).toContain('"anyOf"');
  });

  it('asks of each objective for what it uses', () => {
    expect(keysOf(dpo).get('data')).not.toContain('side');
    expect(keysOf(getObjective('sft')).get('data')).not.toContain('scoreFrom');
  });
});
