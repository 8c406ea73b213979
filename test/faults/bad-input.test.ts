import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { built, pairLines, Scratch, start, tinyModel, tokenizerFolder } from './fixture.js';
import { type Parts, putTogether, takeApart, without } from './tensors.js';
import { inspect } from './whole.js';

const scratch = new Scratch();
const undo: (() => void)[] = [];
afterAll(() => {
  for (const step of undo) step();
  scratch.remove();
});

const pairs = pairLines(12);
let cases = 0;

interface Case {
  /** Lines of the data file; `undefined`: good ones. */
  readonly lines?: readonly string[];
  /** Spoils a copy of the model folder. */
  readonly spoil?: (model: string) => void;
  readonly flags?: readonly string[];
  readonly out?: string;
  /** Runs before the command, in its process. */
  readonly shell?: string;
}

interface Outcome {
  readonly code: number | null;
  readonly err: string;
  readonly folder: string;
  readonly out: string;
}

const readable = (text: string, folder: string) =>
  text
    .replaceAll(folder, 'HERE')
    .replaceAll(scratch.root, 'ROOT')
    .replaceAll(/case-\d+/g, 'case')
    .replaceAll(tokenizerFolder, 'TOKENIZER');

async function run({ lines = pairs, spoil, flags = [], out, shell }: Case): Promise<Outcome> {
  const folder = scratch.at(`case-${cases++}`);
  mkdirSync(folder);
  let model = scratch.at('base');
  if (spoil !== undefined) {
    model = join(folder, 'model');
    cpSync(scratch.at('base'), model, { recursive: true });
    spoil(model);
  }
  writeFileSync(join(folder, 'pairs.jsonl'), lines.join('\n'));
  const target = out ?? join(folder, 'out');
  const command = [
    ...['train', 'dpo', '--model', model, '--data', join(folder, 'pairs.jsonl'), '--out', target],
    ...['--threads', '1', '--batch-size', '4', '--max-steps', '3', '--sample-prompts', '1', '--sample-tokens', '4'],
    ...flags,
  ];
  const { code, err } = await start(command, shell === undefined ? {} : { shell }).ended;
  return { code, err: readable(err, folder), folder, out: target };
}

/** The message of a command that must refuse, write nothing and leave all that was there as it was. */
async function refused(given: Case): Promise<string> {
  const before = given.out === undefined ? undefined : fingerprint(given.out);
  const { code, err, folder, out } = await run(given);
  expect(code, err).toBe(2);
  expect(err).not.toMatch(/^ +at |internal error/m);
  const left = readdirSync(folder).filter((name) => name !== 'pairs.jsonl' && name !== 'model');
  expect(left).toEqual([]);
  expect(fingerprint(out)).toBe(given.out === undefined ? '' : before);
  return err;
}

/** Of all that stands at a path: names, sizes, contents. Empty where nothing is. */
function fingerprint(path: string): string {
  if (!existsSync(path)) return '';
  if (statSync(path).isFile()) return createHash('sha256').update(readFileSync(path)).digest('hex');
  if (!path.startsWith(scratch.root)) return readdirSync(path).length === 0 ? 'empty' : 'not ours';
  return readdirSync(path)
    .sort()
    .map((name) => `${name}:${fingerprint(join(path, name))}`)
    .join('\n');
}

const withLine = (line: string) => [...pairs.slice(0, 2), line, ...pairs.slice(3)];
const pair = JSON.parse(pairs[2]!) as { prompt: string; chosen: string; rejected: string };

function editWeights(edit: (parts: Parts) => Parts | Buffer) {
  return (model: string) => {
    const file = join(model, 'model.safetensors');
    const edited = edit(takeApart(file));
    writeFileSync(file, Buffer.isBuffer(edited) ? edited : putTogether(edited));
  };
}

function editJson(name: string, edit: (json: Record<string, unknown>) => unknown) {
  return (model: string) => {
    const file = join(model, name);
    writeFileSync(file, JSON.stringify(edit(JSON.parse(readFileSync(file, 'utf8')))));
  };
}

const k = 'model.layers.0.self_attn.k_proj.weight';
const q = 'model.layers.0.self_attn.q_proj.weight';

describe.skipIf(!built)('bad input (skipped until `npm run build`)', () => {
  beforeAll(async () => {
    await tinyModel(scratch.at('base'));
  });

  describe('of the rows', () => {
    it('a line that is not JSON', async () => {
      expect(await refused({ lines: withLine('{"prompt": "a", "chosen": b}') })).toMatchInlineSnapshot(`
        "error: 1 of 12 rows cannot be used:
          HERE/pairs.jsonl:3:27: expected a JSON value, received "b}"
        Mend these rows, or leave them out with \`--on-bad-row drop\`, which counts them by reason.
        "
      `);
    });
    it('a missing field', async () => {
      const { rejected: _, ...rest } = pair;
      expect(await refused({ lines: withLine(JSON.stringify(rest)) })).toMatchInlineSnapshot(`
        "error: 1 of 12 rows cannot be used:
          HERE/pairs.jsonl:3 \`rejected\`: expected text, received nothing
        Mend these rows, or leave them out with \`--on-bad-row drop\`, which counts them by reason.
        "
      `);
    });
    it('an empty completion', async () => {
      const line = JSON.stringify({ ...pair, chosen: '' });
      expect(await refused({ lines: withLine(line) })).toMatchInlineSnapshot(`
        "error: 1 of 12 rows cannot be used:
          HERE/pairs.jsonl:3 \`chosen\`: expected a completion with words, received ""
        Mend these rows, or leave them out with \`--on-bad-row drop\`, which counts them by reason.
        "
      `);
    });
    it('chosen = rejected', async () => {
      const line = JSON.stringify({ ...pair, chosen: pair.rejected });
      expect(await refused({ lines: withLine(line) })).toMatchInlineSnapshot(`
        "error: 1 of 12 rows cannot be used:
          HERE/pairs.jsonl:3 \`rejected\`: expected a completion other than \`chosen\`, received the same
        Mend these rows, or leave them out with \`--on-bad-row drop\`, which counts them by reason.
        "
      `);
    });
    it('a prompt longer than the context', async () => {
      const line = JSON.stringify({ ...pair, prompt: pair.prompt.repeat(20) });
      expect(await refused({ lines: withLine(line) })).toMatchInlineSnapshot(`
        "error: 1 of 12 rows cannot be used:
          HERE/pairs.jsonl:3: expected a prompt of fewer than 128 tokens, or a choice of \`--truncation\`, received 281
        Mend these rows, or leave them out with \`--on-bad-row drop\`, which counts them by reason.
        "
      `);
      expect(await refused({ lines: withLine(line), flags: ['--truncation', 'error'] })).toMatchInlineSnapshot(`
        "error: 1 of 12 rows cannot be used:
          HERE/pairs.jsonl:3: expected at most 128 tokens, received 315
        Mend these rows, or leave them out with \`--on-bad-row drop\`, which counts them by reason.
        "
      `);
    });
    it('completions longer than the context, all of them', async () => {
      const lines = [JSON.stringify({ ...pair, chosen: pair.chosen.repeat(20), rejected: pair.rejected.repeat(20) })];
      expect(await refused({ lines, flags: ['--truncation', 'drop'] })).toMatchInlineSnapshot(`
        "error: No row can be used: 1 were read, and dropped as 1 too-long:
          HERE/pairs.jsonl:1: expected at most 128 tokens, received 676
        Mend these rows.
        "
      `);
    });
    it('no rows', async () => {
      expect(await refused({ lines: [] })).toMatchInlineSnapshot(`
        "error: No row can be used: 0 were read.
        Check that HERE/pairs.jsonl are the files you mean.
        "
      `);
    });
  });

  describe('of the command line', () => {
    it('a flag with a typo', async () => {
      expect(await refused({ flags: ['--bta', '0.2'] })).toMatchInlineSnapshot(`
        "error: unknown option \`--bta\`; nearest: \`--beta\`, \`--beta1\`, \`--beta2\` (\`kelpie train dpo --help\` lists them)
        "
      `);
    });
    it('a key of the config with a typo', async () => {
      const file = scratch.write('typo.yaml', 'objective:\n  bta: 0.2\ntraining:\n  learningRte: 1e-5\n');
      expect(await refused({ flags: ['--config', file] })).toMatchInlineSnapshot(`
        "error: ROOT/typo.yaml:2:3: \`objective.bta\`: unknown key; nearest: \`objective.beta\`, \`objective.nllWeight\`
        ROOT/typo.yaml:4:3: \`training.learningRte\`: unknown key; nearest: \`training.learningRate\`, \`training.batchSize\`
        "
      `);
    });
    it('a config that is no YAML', async () => {
      const file = scratch.write('broken.yaml', 'training: [1, 2\nlora: }');
      expect(await refused({ flags: ['--config', file] })).toMatchInlineSnapshot(`
        "error: ROOT/broken.yaml:2:1: Flow sequence in block collection must be sufficiently indented and end with a ]
        ROOT/broken.yaml:2:7: Unexpected flow-map-end token in YAML stream: "}"
        "
      `);
    });
  });

  describe('of the model', () => {
    it('a missing tensor', async () => {
      expect(await refused({ spoil: editWeights((parts) => without(parts, k)) })).toMatchInlineSnapshot(`
        "error: the weights do not fit config.json:
          \`model.layers.0.self_attn.k_proj.weight\` [8, 16] is missing (file \`HERE/model/model.safetensors\`)
        "
      `);
    });
    it('a tensor of the wrong shape', async () => {
      const spoil = editWeights(({ header, data }) => {
        header[k]!.shape = header[k]!.shape.toReversed();
        return { header, data };
      });
      expect(await refused({ spoil })).toMatchInlineSnapshot(`
        "error: the weights do not fit config.json:
          \`model.layers.0.self_attn.k_proj.weight\` is [16, 8], the config makes it [8, 16] (file \`HERE/model/model.safetensors\`)
        "
      `);
    });
    it('a file that is cut short', async () => {
      const spoil = editWeights((parts) => putTogether(parts).subarray(0, -100));
      expect(await refused({ spoil })).toMatchInlineSnapshot(`
        "error: its bytes end at 39168, but the file has only 39132 behind the header: it is cut short or damaged (file \`HERE/model/model.safetensors\`, tensor \`model.layers.0.self_attn.v_proj.weight\`)
        "
      `);
    });
    it('a header that lies about its length', async () => {
      const longer = editWeights((parts) => putTogether(parts, 2n ** 60n));
      expect(await refused({ spoil: longer })).toMatchInlineSnapshot(`
        "error: its first 8 bytes claim a header of 1152921504606846976 bytes; the format allows 100000000. (file \`HERE/model/model.safetensors\`)
        "
      `);
      const shorter = editWeights((parts) => putTogether(parts, 20n));
      expect(await refused({ spoil: shorter })).toMatchInlineSnapshot(`
        "error: expected a safetensors header in JSON, but it does not parse: Unterminated string in JSON at position 20 (file \`HERE/model/model.safetensors\`)
        "
      `);
    });
    it('tensors that overlap', async () => {
      const spoil = editWeights(({ header, data }) => {
        const [begin, end] = header[q]!.data_offsets;
        header[q]!.data_offsets = [begin - 4, end - 4];
        return { header, data };
      });
      expect(await refused({ spoil })).toMatchInlineSnapshot(`
        "error: its bytes, from 37628, overlap with \`model.layers.0.self_attn.o_proj.weight\`, which ends at 37632 (file \`HERE/model/model.safetensors\`, tensor \`model.layers.0.self_attn.q_proj.weight\`)
        "
      `);
    });
    it('an architecture that is not supported', async () => {
      const spoil = editJson('config.json', (json) => ({ ...json, model_type: 'lama' }));
      expect(await refused({ spoil })).toMatchInlineSnapshot(`
        "error: model_type "lama" is not supported; there are gpt2, llama; nearest: llama (file \`HERE/model/config.json\`, key \`model_type\`)
        "
      `);
    });
    it('an option that is not supported', async () => {
      const spoil = editJson('config.json', (json) => ({ ...json, quantization_config: { bits: 4 } }));
      expect(await refused({ spoil })).toMatchInlineSnapshot(`
        "error: the config asks for what is not supported: \`quantization_config\` {"bits":4} (quantised weights: use the checkpoint it was quantised from) (file \`HERE/model/config.json\`, key \`quantization_config\`)
        "
      `);
    });
    it('NaN in the weights', async () => {
      const spoil = editWeights(({ header, data }) => {
        data.writeFloatLE(Number.NaN, header[k]!.data_offsets[0] + 8);
        return { header, data };
      });
      expect(await refused({ spoil })).toMatchInlineSnapshot(`
        "error: weight 2 is NaN: the checkpoint is damaged (file \`HERE/model/model.safetensors\`, tensor \`model.layers.0.self_attn.k_proj.weight\`)
        "
      `);
    });
  });

  describe('of the tokenizer', () => {
    const shrink = editWeights((parts) => {
      const { shape, data_offsets } = parts.header['model.embed_tokens.weight']!;
      const [begin] = data_offsets;
      const rest = without(parts, 'model.embed_tokens.weight');
      const rows = 100;
      const bytes = rows * shape[1]! * 4;
      const kept = Buffer.from(parts.data.subarray(begin, begin + bytes));
      rest.header['model.embed_tokens.weight'] = {
        dtype: 'F32',
        shape: [rows, shape[1]!],
        data_offsets: [rest.data.length, rest.data.length + bytes],
      };
      return { header: rest.header, data: Buffer.concat([rest.data, kept]) };
    });
    it('larger than the model: ids out of range', async () => {
      const spoil = (model: string) => {
        shrink(model);
        editJson('config.json', (json) => ({ ...json, vocab_size: 100 }))(model);
      };
      expect(await refused({ spoil })).toMatchInlineSnapshot(`
        "error: the tokenizer in \`HERE/model\` is not the model's: its pieces go up to \`Ġyour\` (id 489), but the model's vocabulary has 100 entries; name the model's own with \`--tokenizer\`
        "
      `);
    });
    it('an id that is out of range', async () => {
      const spoil = editJson('tokenizer.json', (json) => {
        const { model } = json as { model: { vocab: Record<string, number> } };
        return { ...json, model: { ...model, vocab: { ...model.vocab, Ġthe: 4900 } } };
      });
      expect(await refused({ spoil })).toMatchInlineSnapshot(`
        "error: the tokenizer in \`HERE/model\` is not the model's: its pieces go up to \`Ġthe\` (id 4900), but the model's vocabulary has 490 entries; name the model's own with \`--tokenizer\`
        "
      `);
    });
    it('not there', async () => {
      const folder = scratch.at('no-tokenizer');
      mkdirSync(folder);
      expect(await refused({ flags: ['--tokenizer', folder] })).toMatchInlineSnapshot(`
        "error: there is no tokenizer.json in \`ROOT/no-tokenizer\`: name a folder that has one with \`--tokenizer\`
        "
      `);
    });
  });

  describe('of the place', () => {
    it('a file in the way', async () => {
      const out = scratch.write('in-the-way', 'mine');
      expect(await refused({ out })).toMatchInlineSnapshot(`
        "error: --out: \`ROOT/in-the-way\` is a file: name a folder
        "
      `);
    });
    it('a path below a file', async () => {
      const out = scratch.write('below', 'mine');
      expect(await refused({ out: join(out, 'run') })).toMatchInlineSnapshot(`
        "error: it cannot be written: a file stands where a folder is needed; choose another path (path \`ROOT/below/run\`, system \`ENOTDIR\`)
        "
      `);
      expect(readFileSync(out, 'utf8')).toBe('mine');
    });
    it.skipIf(!existsSync('/proc/self'))('a path that the system takes no folder at', async () => {
      expect(await refused({ out: '/proc/kelpie-run' })).toMatchInlineSnapshot(`
        "error: it cannot be written: the system takes no folder there; choose another path (path \`/proc/kelpie-run\`, system \`ENOENT\`)
        "
      `);
    });
    it('a folder that holds another run', async () => {
      const { code, err, out } = await run({});
      expect(code, err).toBe(0);
      expect(await refused({ out })).toMatchInlineSnapshot(`
        "error: --out: \`ROOT/case/out\` is not empty, and nothing is overwritten: name another folder
        "
      `);
      expect(await refused({ out, flags: ['--resume'] })).toMatchInlineSnapshot(`
        "error: the run in \`ROOT/case/out\` is finished: its model is in \`ROOT/case/out/model\`
        "
      `);
    });
    it('a folder that holds a stopped run of other options', async () => {
      const { folder, out } = await run({ flags: ['--save-every', '1'] });
      rmSync(join(out, 'run.json'));
      rmSync(join(folder, 'pairs.jsonl'));
      expect(await refused({ out })).toMatchInlineSnapshot(`
        "error: --out: \`ROOT/case/out\` is not empty, and nothing is overwritten: name another folder, or go on with \`--resume\`
        "
      `);
      expect(await refused({ out, flags: ['--resume', '--beta', '0.3', '--save-every', '1'] })).toMatchInlineSnapshot(`
        "error: the run cannot go on from its checkpoint, which was made otherwise:
          \`objectiveOptions.beta\`: 0.1 in the checkpoint, 0.3 now
        Use the same values, or another folder. (folder \`ROOT/case/out/checkpoints/step-000002\`, key \`objectiveOptions.beta\`)
        "
      `);
    });
  });

  describe('a full disk', () => {
    /** A small disk, by which means there is one, and how it gets larger. */
    function disk(size: string, blocks: number) {
      const folder = scratch.at(`disk-${size}`);
      mkdirSync(folder);
      const mount = (...options: string[]) => spawnSync('mount', ['-t', 'tmpfs', '-o', ...options]).status === 0;
      if (mount(`size=${size}`, 'none', folder)) {
        undo.push(() => execFileSync('umount', [folder]));
        const enlarge = () => mount('remount,size=8m', folder);
        return { place: { out: join(folder, 'run') }, means: `a tmpfs of ${size}`, enlarge };
      }
      const shell = `ulimit -f ${blocks}`;
      return { place: { out: join(folder, 'run'), shell }, means: shell, enlarge: () => true };
    }
    const refusal = /^error: it cannot be written: the (disk is full|file would be larger).*$/m;

    it('at the first file: nothing stays', async () => {
      const { place, means } = disk('4k', 1);
      console.log(`full disk: ${means}`);
      expect(await refused(place)).toMatch(refusal);
    });

    it('at the log of the first step: nothing stays', async () => {
      const { place, means } = disk('16k', 1);
      console.log(`full disk: ${means}`);
      const text = await refused(place);
      expect(text).toMatch(refusal);
      // A limit to each file's size is met by the first of them.
      if (means.startsWith('a tmpfs')) expect(text).toMatch(/metrics\.jsonl`/);
    });

    it('at a checkpoint: what was saved stays, and is gone on from where there is room', async () => {
      const { place, means, enlarge } = disk('150k', 40);
      console.log(`full disk: ${means}`);
      const flags = ['--save-every', '1'];
      const whole = await run({ flags });
      const { code, err, out, folder } = await run({ ...place, flags });
      expect(code, err).toBe(2);
      expect(err).toMatch(refusal);
      expect(err).toMatch(/checkpoints\/step-00000\d`/);
      expect(inspect(out, { settled: true })).toEqual({ temporary: [], broken: [] });
      expect(existsSync(join(out, 'run.json'))).toBe(false);
      expect(enlarge()).toBe(true);
      const again = await run({ out, flags: [...flags, '--resume'] });
      expect(again.code, again.err).toBe(0);
      for (const name of ['metrics.jsonl', 'model/model.safetensors'])
        expect(readFileSync(join(out, name)).equals(readFileSync(join(whole.out, name))), `${name} of ${folder}`).toBe(
          true,
        );
    });
  });
});
