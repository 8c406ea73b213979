import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readJsonFile } from './json.js';
import { type LinearModule, parsePeftConfig, readPeft, resolveTargets, writePeft } from './peft.js';
import { readSafetensors } from './safetensors.js';
import { shared } from './shared-folder.test-helper.js';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kelpie-peft-'));
});
afterAll(() => rm(folder, { recursive: true }));

const linear = (name: string, inFeatures = 3, outFeatures = 2, transposed = false): LinearModule => ({
  name,
  inFeatures,
  outFeatures,
  transposed,
  head: name === 'lm_head',
});

const modules = [0, 1, 2, 11]
  .flatMap((i) =>
    ['self_attn.q_proj', 'self_attn.k_proj', 'mlp.up_proj'].map((name) => linear(`model.layers.${i}.${name}`)),
  )
  .concat(linear('lm_head'));

const parse = (json: Record<string, unknown>) =>
  parsePeftConfig({ peft_type: 'LORA', target_modules: ['q_proj'], ...json }, 'adapter_config.json');
const names = (json: Record<string, unknown>) =>
  resolveTargets(parse(json).config, modules).targets.map(({ module }) => module.name.replace(/^model\.layers\./, ''));

describe("peft's rules", () => {
  test('a list: whole names, or ends behind a dot', () => {
    expect(names({ target_modules: ['q_proj'] })).toEqual([
      '0.self_attn.q_proj',
      '1.self_attn.q_proj',
      '2.self_attn.q_proj',
      '11.self_attn.q_proj',
    ]);
    expect(names({ target_modules: ['1.mlp.up_proj'] })).toEqual(['1.mlp.up_proj']);
    expect(names({ target_modules: ['model.layers.2.mlp.up_proj', 'lm_head'] })).toEqual(['2.mlp.up_proj', 'lm_head']);
    expect(() => names({ target_modules: ['_proj'] })).toThrow(
      /no linear layer answers to \["_proj"\]; nearest: `\w_proj`/,
    );
    expect(resolveTargets(parse({ target_modules: ['q_proj', 'wte'] }).config, modules).unmatched).toEqual(['wte']);
  });

  test('a string: a regular expression over whole names; all-linear: all but the head', () => {
    expect(names({ target_modules: '.*\\.(0|11)\\..*(?P<which>q|k)_proj' })).toHaveLength(4);
    expect(() => names({ target_modules: 'q_proj' })).toThrow(/no linear layer/);
    expect(names({ target_modules: 'all-linear' })).toHaveLength(12);
    expect(() => names({ target_modules: '(' })).toThrow(/regular expression over module names.*key `target_modules`/);
  });

  test('exclusions and layers', () => {
    expect(names({ target_modules: 'all-linear', exclude_modules: ['q_proj', 'k_proj', '11.mlp.up_proj'] })).toEqual([
      '0.mlp.up_proj',
      '1.mlp.up_proj',
      '2.mlp.up_proj',
    ]);
    expect(names({ exclude_modules: '.*\\.\\d\\..*' })).toEqual(['11.self_attn.q_proj']);
    expect(names({ layers_to_transform: 1 })).toEqual(['1.self_attn.q_proj']);
    expect(names({ layers_to_transform: [0, 11], layers_pattern: 'layers' })).toEqual([
      '0.self_attn.q_proj',
      '11.self_attn.q_proj',
    ]);
    expect(names({ layers_to_transform: [1], target_modules: ['model.layers.0.mlp.up_proj', 'k_proj'] })).toEqual([
      '0.mlp.up_proj',
      '1.self_attn.k_proj',
    ]);
  });

  test('ranks and alphas: the first pattern that matches wins; rslora divides by the root', () => {
    const { config } = parse({
      r: 4,
      lora_alpha: 8,
      target_modules: ['q_proj', 'up_proj'],
      rank_pattern: { '1.self_attn.q_proj': 6, q_proj: 2, 'model.layers.2.*up_proj': 16 },
      alpha_pattern: { '^model.layers.0.self_attn.q_proj': 1 },
    });
    const of = (c: typeof config) =>
      Object.fromEntries(
        resolveTargets(c, modules).targets.map((t) => [t.module.name.slice(13), [t.rank, t.alpha, t.scaling]]),
      );
    expect(of(config)).toEqual({
      '0.self_attn.q_proj': [2, 1, 0.5],
      '0.mlp.up_proj': [4, 8, 2],
      '1.self_attn.q_proj': [6, 8, 8 / 6],
      '1.mlp.up_proj': [4, 8, 2],
      '2.self_attn.q_proj': [2, 8, 4],
      '2.mlp.up_proj': [16, 8, 0.5],
      // `.` of a pattern is any character, also here.
      '11.self_attn.q_proj': [2, 8, 4],
      '11.mlp.up_proj': [4, 8, 2],
    });
    expect(of({ ...config, useRslora: true })['2.mlp.up_proj']).toEqual([16, 8, 2]);
  });
});

test.each([
  [{ peft_type: 'IA3' }, /`peft_type` "IA3"/],
  [{ use_bdlora: true, bias: 'all' }, /`bias` "all".*`use_bdlora` true/],
  [{ modules_to_save: ['lm_head'] }, /`modules_to_save` \["lm_head"\]/],
  [{ init_lora_weights: 'pissa' }, /`init_lora_weights` "pissa"/],
  [{ r: 0 }, /`r`/],
  [{ target_modules: 7 }, /`target_modules`/],
  [{ rank_pattern: { a: 'b' } }, /`rank_pattern.a`/],
])('%j is refused', (json, message) => {
  expect(() => parse(json)).toThrow(message);
});

test('what is not known is a warning', () => {
  expect(parse({ use_magic: true, use_other: null, lora_dropout: 0.1 }).warnings).toEqual([
    "`use_magic` of the adapter's config is not known and is ignored",
    '`lora_dropout` 0.1 is not applied: nothing is dropped here',
  ]);
});

describe('writing', () => {
  const targets = [{ module: linear('h.0.q_proj'), a: new Float32Array(12).fill(1), b: new Float32Array(8).fill(2) }];

  test('is read back the same, and is checked first', async () => {
    const { config } = parse({ r: 4, lora_alpha: 2, base_model_name_or_path: '../base', use_rslora: true });
    const own = join(folder, 'own');
    await writePeft(own, { config, targets }, { addFiles: (temporary) => writeFile(join(temporary, 'README.md'), '') });
    expect((await readdir(own)).sort()).toEqual(['README.md', 'adapter_config.json', 'adapter_model.safetensors']);
    const read = await readPeft(own, [linear('h.0.q_proj'), linear('h.0.k_proj')]);
    expect(read.config).toEqual({ ...config, taskType: 'CAUSAL_LM' });
    expect(read.warnings).toEqual([]);
    expect(read.targets).toEqual([{ ...targets[0]!, rank: 4, alpha: 2, scaling: 1 }]);
    await expect(writePeft(own, { config: { ...config, r: 3 }, targets })).rejects.toThrow(
      /expected \[3, 3\] and \[2, 3\] numbers, got 12 and 8/,
    );
    await expect(writePeft(own, { config: { ...config, useDora: true }, targets })).rejects.toThrow(
      /expected 2 magnitudes, got 0/,
    );
    await expect(readPeft(own, [linear('h.0.q_proj', 5)])).rejects.toThrow(/expected shape \[4, 5\].*got \[4, 3\]/);
    await expect(readPeft(own, [linear('h.0.q_proj'), linear('h.1.q_proj')])).rejects.toThrow(
      /but there is none.*h\.1\.q_proj\.lora_A/,
    );
    await expect(readPeft(own, [linear('h.7.q_proj')])).rejects.toThrow(/for no targeted linear layer of this model/);
    await rm(join(own, 'adapter_model.safetensors'));
    await writeFile(join(own, 'adapter_model.bin'), '');
    await expect(readPeft(own, [linear('h.0.q_proj')])).rejects.toThrow(/Python pickle/);
  });
});

describe.skipIf(shared === undefined)('folders that peft 0.21.2 wrote', () => {
  const at = (name: string) => join(shared!, 'adapters', name);

  /** Every two-dimensional `.weight` of the base model, which is more than its linear layers but no fewer. */
  async function baseModules(name: string): Promise<LinearModule[]> {
    const { base_model_name_or_path: base } = await readJsonFile(join(at(name), 'adapter_config.json'));
    const source = await readSafetensors(resolve(at(name), String(base)));
    const conv = String(base).endsWith('gpt2');
    return [...source.tensors.values()]
      .filter(({ name, shape }) => shape.length === 2 && /(attn|mlp|lm_head)/.test(name))
      .map(({ name, shape }) => {
        const [out, input] = conv ? [shape[1]!, shape[0]!] : [shape[0]!, shape[1]!];
        const module = name.replace(/\.weight$/, '');
        return linear(conv && !module.startsWith('transformer.') ? `transformer.${module}` : module, input, out, conv);
      });
  }

  const readable = ['gpt2-fan-in-fan-out', 'stories260k-patterns', 'tinystories-all-linear-rslora', 'tinystories-qv'];
  test.each([...readable, 'qwen2-dora'])('%s: read, written, read again', async (name) => {
    const linears = await baseModules(name);
    const adapter = await readPeft(at(name), linears);
    expect(adapter.warnings).toEqual([]);
    const original = await readSafetensors(join(at(name), 'adapter_model.safetensors'));
    expect(adapter.targets.length * (adapter.config.useDora ? 3 : 2)).toBe(original.tensors.size);
    const own = join(folder, name);
    await writePeft(own, adapter);
    const again = await readPeft(own, linears);
    expect(again.targets).toEqual(adapter.targets);
    const sorted = (list: unknown) => (Array.isArray(list) ? list.toSorted() : list);
    expect({ ...again.config, targetModules: sorted(again.config.targetModules) }).toEqual({
      ...adapter.config,
      targetModules: sorted(adapter.config.targetModules),
    });
    // peft's own bytes, tensors and header: the same order and alignment.
    const [ours, theirs] = await Promise.all(
      [own, at(name)].map((f) => readFile(join(f, 'adapter_model.safetensors'))),
    );
    expect(ours!.equals(theirs!)).toBe(true);
  });

  test('scalings of patterns and of rslora', async () => {
    const scalings = async (name: string) =>
      Object.fromEntries(
        (await readPeft(at(name), await baseModules(name))).targets.map((t) => [
          t.module.name.slice(13),
          [t.rank, t.scaling],
        ]),
      );
    expect(await scalings('stories260k-patterns')).toMatchObject({
      '0.self_attn.q_proj': [4, 2],
      '0.self_attn.k_proj': [4, 0.25],
      '3.self_attn.q_proj': [6, 8 / 6],
      '4.mlp.down_proj': [2, 8],
    });
    expect((await scalings('tinystories-all-linear-rslora'))['1.mlp.up_proj']).toEqual([8, 4 / Math.sqrt(8)]);
  });

  test.each([
    ['bert-reward', /`modules_to_save`/],
    ['llama-save-lm-head', /`modules_to_save`/],
    ['qwen2-bias-lora-only', /`bias` "lora_only"/],
    ['gpt2-embedding', /an adapter on an embedding.*wte\.lora_embedding_A/],
  ])('%s is refused by name', async (name, message) => {
    await expect(readPeft(at(name), await baseModules(name))).rejects.toThrow(message);
  });
});
