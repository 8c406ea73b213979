import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openTokenizer, pathsOf, type Sequence } from '@kelpie/policy';
import { describe, expect, it } from 'vitest';
import { loadPreferences, loadText } from './dataset.js';
import { reportText } from './report.js';
import { encoderOf, tokenize } from './tokenize.js';
import { truncate } from './truncate.js';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const shared = resolve(root, process.env.KELPIE_SHARED ?? '../shared');
const describeShared = describe.skipIf(!existsSync(shared));
if (!existsSync(shared)) console.warn(`skipped: no reference data at ${shared}; set KELPIE_SHARED to its folder`);

interface Trajectory {
  readonly algorithm: string;
  readonly model: string;
  readonly options: { readonly max_length?: number; readonly completion_only_loss?: boolean | null };
  readonly rows: readonly ({ readonly text: Record<string, string>; readonly prompt?: number[] } & Record<
    string,
    unknown
  >)[];
}

type Case = Pick<Trajectory, 'algorithm' | 'options'> & { readonly row: Trajectory['rows'][number] };

/** A row's completions: columns of text, and of ids. */
const sides: Readonly<Record<string, readonly string[]>> = {
  dpo: ['chosen', 'rejected'],
  reward: ['chosen', 'rejected'],
  sft: ['completion'],
  kto: ['completion'],
};

function trajectories(): Trajectory[] {
  const folder = join(shared, 'trajectories');
  const files = readdirSync(folder).filter((file) => file.endsWith('.json'));
  const all = files.map((file) => JSON.parse(readFileSync(join(folder, file), 'utf8')) as Trajectory);
  return all.filter(({ algorithm }) => algorithm in sides);
}

// TRL 1.16's own ids. transformers 5 builds its own tokenizer for Llama, which drops the characters that tokenizer.json
// maps to <unk> (id 0): rows with such characters are compared once more without them.
describeShared('ids of TRL', () => {
  const unknown = 0;
  const expected: Readonly<Record<string, { asTheyStand: number; withoutUnknown: number; differ: number }>> = {
    'TinyStories-656K': { asTheyStand: 355, withoutUnknown: 145, differ: 0 },
    stories260K: { asTheyStand: 265, withoutUnknown: 0, differ: 0 },
  };

  it.each(Object.entries(expected))('of %s are ours', async (model, counts) => {
    const tokenizer = await openTokenizer(join(shared, 'models', model));
    const encoder = encoderOf(tokenizer);
    const isKnown = (character: string) => !tokenizer.encode(character, { addSpecialTokens: false }).includes(unknown);
    const cases = new Map(
      trajectories()
        .filter((trajectory) => trajectory.model === model)
        .flatMap(({ algorithm, options, rows }) => rows.map((row) => ({ algorithm, options, row })))
        .map((item) => [
          JSON.stringify([item.row.text, item.options.max_length, item.options.completion_only_loss]),
          item,
        ]),
    );
    const agrees = ({ algorithm, options, row }: Case, change: (text: string) => string) => {
      const columns = sides[algorithm] as readonly string[];
      const { prompt = '', text } = row.text;
      const completions = text === undefined ? columns.map((column) => row.text[column] as string) : [text];
      const rendered = { prompt: change(prompt), completions: completions.map(change), templated: false };
      const cut = truncate(tokenize(rendered, encoder).sequences, {
        maxLength: options.max_length ?? 1e9,
        rule: 'end',
      });
      // No prompt among the ids: every token but the first counts, and where the text's prompt ended is not told.
      const start = row.prompt?.length;
      return (
        'sequences' in cut &&
        columns.every((column, i) => {
          const { ids, scoreFrom } = cut.sequences[i] as Sequence;
          const theirs = [...(row.prompt ?? []), ...(row[column] as number[])];
          return ids.join() === theirs.join() && (!start || scoreFrom === start);
        })
      );
    };
    const found = { asTheyStand: 0, withoutUnknown: 0, differ: 0 };
    for (const item of cases.values()) {
      if (agrees(item, (text) => text)) found.asTheyStand++;
      else if (agrees(item, (text) => [...text].filter(isKnown).join(''))) found.withoutUnknown++;
      else found.differ++;
    }
    expect(found).toEqual(counts);
  });
});

describeShared('published rows', () => {
  const data = (file: string) => join(shared, 'data', file);
  const scored = (tree: Parameters<typeof pathsOf>[0], decode: (ids: number[]) => string) =>
    pathsOf(tree).map(({ ids, scoreFrom }) => decode(ids.slice(scoreFrom)));

  it('of hh-rlhf all parse: 1 of 1,163 has an empty answer, 3 have answers longer than the context', async () => {
    const tokenizer = await openTokenizer(join(shared, 'models/TinyStories-656K'));
    const files = [data('hh-rlhf-harmless/pairs.jsonl')];
    const load = { files, tokenizer, maxLength: 512, onBadRow: 'drop' } as const;
    const uncut = await loadPreferences(load);
    const longPrompts = { 'empty-completion': 1, 'prompt-fills-length': 59, 'completion-too-long': 2 };
    expect(uncut.report.dropped).toEqual(longPrompts);
    const { examples, report } = await loadPreferences({ ...load, truncation: 'prompt-start' });
    console.log(reportText(report).replaceAll(`${shared}/`, ''));
    expect(report.files[0]).toMatchObject({ format: 'implicit-prompt', rows: 1163 });
    expect(report.dropped).toEqual({ 'empty-completion': 1, 'completion-too-long': 3 });
    expect(report).toMatchObject({ kept: 1159, merged: { rows: 1159 } });
    for (const { prompt, chosen, rejected } of examples) {
      expect(prompt.endsWith('\n\nAssistant:')).toBe(true);
      expect(chosen[0] === rejected[0] || chosen[0] === ' ' || rejected[0] === ' ').toBe(true);
    }
  });

  it('in ShareGPT’s form are rendered by a model’s chat template', async () => {
    const tokenizer = await openTokenizer(join(shared, 'tokenizers/phi-3-mini'));
    const pairs = await loadPreferences({
      files: [data('llamafactory-demo/dpo_en_demo.jsonl')],
      tokenizer,
      maxLength: 4096,
      truncation: 'prompt-start',
    });
    console.log(reportText(pairs.report).replaceAll(`${shared}/`, ''));
    expect(pairs.report).toMatchObject({ kept: 150, files: [{ format: 'messages-pairs' }], withoutEnd: 0 });
    for (const { tree, prompt, extra } of pairs.examples) {
      expect(prompt.endsWith('<|assistant|>\n')).toBe(true);
      expect(extra).toEqual({});
      for (const text of scored(tree, (ids) => tokenizer.decode(ids)))
        expect(text.trimEnd()).toMatch(/<\|end\|>\n?<\|endoftext\|>$/);
    }
    const turns = await loadText({
      files: [data('llamafactory-demo/kto_en_demo.jsonl')],
      tokenizer,
      maxLength: 4096,
      truncation: 'end',
      score: 'completion',
    });
    expect(turns.report).toMatchObject({
      kept: 151,
      dropped: { 'prompt-fills-length': 1 },
      files: [{ format: 'messages', rows: 152 }],
    });
    expect(new Set(turns.examples.map(({ extra }) => typeof extra.label))).toEqual(new Set(['boolean']));
  });
});
