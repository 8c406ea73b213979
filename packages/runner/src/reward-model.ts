import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { encoderOf } from '@kelpie/data';
import {
  messageOf,
  type OpenOptions,
  openPolicy,
  openTokenizer,
  type Tokenizer,
  type TokenTree,
  treeOf,
} from '@kelpie/policy';
import {
  defineSource,
  leaf,
  type Reward,
  RewardError,
  type RewardRow,
  type RowFailure,
  rowsFailed,
} from '@kelpie/rewards';
import { z } from 'zod';
import { canonical, hashOf } from './files.js';
import { asJudged, padTokenOf } from './judged.js';

/** Of an adapter: the scalar head that was trained with it. */
const headFile = 'scalar-head.safetensors';

/**
 * A reward model of a policy's architecture, as `kelpie train reward` writes it: a Hugging Face folder for sequence
 * classification with one label. Ouyang et al. 2022, arXiv:2203.02155, section 3.5.
 *   r(prompt, completion) = w · h      h: the last hidden state at the sequence's last token, w: the scalar head
 * Its own tokenizer reads prompt and completion as one text; a completion that came to its end ends with its end token,
 * as in training, and one that was cut off does not. The rows of a prompt share the prompt's computation. A sequence that
 * is longer than the model's context is an error of its row.
 */
export const rewardModel = defineSource({
  name: 'reward-model',
  summary: 'a reward model as `kelpie train reward` writes it: the value of its scalar head',
  options: {
    path: z.string().min(1).describe('Its folder; with `adapter`, that of the base.'),
    adapter: z.string().min(1).optional().describe('A PEFT folder of a reward model trained with LoRA.'),
    tokenizer: z
      .string()
      .min(1)
      .optional()
      .describe("Where its tokenizer is. Default: the adapter's or its own folder."),
    batchSize: z.int().min(1).default(64).describe('Completions in one run of the model.'),
    threads: z.int().min(1).optional().describe('Threads of its arithmetic. Default: one a core.'),
  },
  async open({ name, path, adapter, tokenizer: folder, batchSize, threads }): Promise<Reward> {
    const how = await openOptions(name, { path, adapter });
    const tokenizer = await opening(name, folder ?? path, () => openTokenizer(folder ?? tokenizerOf(path, adapter)));
    const policy = await opening(name, path, () => openPolicy({ ...how, ...(threads !== undefined && { threads }) }));
    const { contextLength, vocabularySize, hash } = policy.info;
    const idsOf = sequencesOf(tokenizer);
    return leaf({
      name,
      hash: hashOf(canonical({ model: hash, tokenizer: tokenizer.hash })),
      dispose: () => policy.dispose(),
      async judge(rows, { signal }) {
        const sequences = rows.map(idsOf);
        requireFit(name, rows, sequences, { contextLength, vocabularySize });
        const pad = padTokenOf(tokenizer);
        const rewards: number[] = [];
        for (let first = 0; first < rows.length; first += batchSize) {
          signal.throwIfAborted();
          const last = Math.min(rows.length, first + batchSize);
          const { values, tokens } = await policy.score({
            trees: treesOf(rows, sequences, first, last, pad),
            scores: ['values'],
          });
          for (let row = 0; row < last - first; row++) rewards.push(values![row * tokens]!);
        }
        return { rewards };
      },
    });
  },
});

type Folders = { readonly path: string; readonly adapter?: string | undefined };

async function openOptions(name: string, { path, adapter }: Folders): Promise<OpenOptions> {
  if (adapter !== undefined) {
    if (existsSync(join(adapter, headFile))) return { model: path, adapter, scalarHead: 'alone' };
    throw badFolder(name, adapter, `expected the adapter of a reward model, with \`${headFile}\``);
  }
  const text = await opening(name, path, () => readFile(join(path, 'config.json'), 'utf8'));
  const { architectures = [] } = await opening(
    name,
    path,
    async () => JSON.parse(text) as { architectures?: string[] },
  );
  if (architectures.some((architecture) => /ForSequenceClassification$/.test(architecture))) return { model: path };
  throw badFolder(
    name,
    path,
    `expected a model for sequence classification, got \`${architectures.join(', ')}\`; \`kelpie train reward\` makes one`,
  );
}

const tokenizerOf = (path: string, adapter: string | undefined): string =>
  adapter !== undefined && existsSync(join(adapter, 'tokenizer.json')) ? adapter : path;

async function opening<Result>(name: string, folder: string, open: () => Promise<Result>): Promise<Result> {
  try {
    return await open();
  } catch (cause) {
    if (cause instanceof RewardError) throw cause;
    throw badFolder(name, folder, messageOf(cause), cause);
  }
}

function badFolder(name: string, folder: string, why: string, cause?: unknown): RewardError {
  return new RewardError(`reward \`${name}\`: \`${folder}\` cannot be opened as a reward model: ${why}`, {
    code: 'bad-file',
    reward: name,
    ...(cause !== undefined && { cause }),
  });
}

/** Ids of a row, as training had them. What a chat template rendered begins with a begin token of its own. */
function sequencesOf(tokenizer: Tokenizer): (row: RewardRow) => readonly number[] {
  const { encode, encodeEnded } = encoderOf(tokenizer);
  const { bosTokenId: bos, eosTokenId: end } = tokenizer;
  const begin = bos === undefined ? '' : (tokenizer.tokenText(bos) ?? '');
  return ({ prompt, completion, ended }) => {
    const text = prompt + completion;
    const templated = begin !== '' && text.startsWith(begin);
    if (!ended) return encode(text, templated);
    return templated && end !== undefined ? [...encode(text, true), end] : encodeEnded(text, templated);
  };
}

function requireFit(
  name: string,
  rows: readonly RewardRow[],
  sequences: readonly (readonly number[])[],
  { contextLength, vocabularySize }: { readonly contextLength: number; readonly vocabularySize: number },
): void {
  const failures = sequences.flatMap((ids, row): RowFailure[] => {
    const outside = ids.find((id) => id >= vocabularySize);
    const why =
      ids.length > contextLength
        ? `expected at most ${contextLength} tokens of prompt and completion, the reward model's context, got ${ids.length}`
        : ids.length === 0
          ? 'expected at least one token of prompt and completion, got none'
          : outside === undefined
            ? undefined
            : `the tokenizer gives id ${outside}, but the reward model's vocabulary has ${vocabularySize} entries`;
    const { id } = rows[row]!.meta;
    const called = typeof id === 'string' || typeof id === 'number' ? { id: String(id) } : {};
    return why === undefined ? [] : [{ row, ...called, message: why }];
  });
  if (failures.length > 0) throw rowsFailed(name, failures, rows.length);
}

/** Rows of one prompt that stand together are one tree: the prompt is computed once. */
function treesOf(
  rows: readonly RewardRow[],
  sequences: readonly (readonly number[])[],
  first: number,
  last: number,
  padTokenId: number,
): TokenTree[] {
  const groups: (readonly number[])[][] = [];
  for (let row = first; row < last; row++) {
    const same = row > first && rows[row]!.prompt === rows[row - 1]!.prompt;
    if (same) groups.at(-1)!.push(sequences[row]!);
    else groups.push([sequences[row]!]);
  }
  return groups.map((group) => {
    const tree = treeOf(group.map((ids) => ({ ids, scoreFrom: 1 })));
    return asJudged({ id: '', tree }, padTokenId).tree;
  });
}
