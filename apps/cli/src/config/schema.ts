import { formats, truncations } from '@kelpie/data';
import type { Objective } from '@kelpie/objectives';
import { type OnlineOptions, onlineOptions, type TrainOptions, trainOptions } from '@kelpie/runner';
import { z } from 'zod';
import { calledName } from '../custom-objective.js';
import { offlineObjectives } from '../offline-objectives.js';
import { isOnline, onlineObjectives } from '../online/objectives.js';
import { rewardTypes } from '../online/reward-types.js';

const text = () => z.string().min(1);
const texts = () => z.union([text(), z.array(text()).min(1)], { error: 'expected text or a list of texts' });

const { heldout: heldoutFraction, ...loopShape } = trainOptions.shape;

/** Options of an online run that the loop over rows has as well stand with the loop, the others with the rollouts. */
export const isLoopOption = (name: string): boolean => name in trainOptions.shape;

const shapeOf = (wanted: (name: string) => boolean): z.ZodRawShape =>
  Object.fromEntries(Object.entries(onlineOptions.shape).filter(([name]) => wanted(name)));

const model = z
  .strictObject({
    path: text().optional().describe('A Hugging Face model folder to start from.'),
    init: text().optional().describe('Or the config.json of a model to start from random weights.'),
    adapter: text().optional().describe('A PEFT folder to go on training, on top of `path`.'),
    reference: texts()
      .optional()
      .describe('What the policy is held to instead of its start: a model folder, or `one=0.5 two=0.5`, their mean.'),
    tokenizer: text().optional().describe("Where the tokenizer is. Default: the model's folder."),
    threads: z.int().min(1).optional().describe('Threads of the arithmetic. Default: one a core.'),
  })
  .describe('What is trained. Paths are taken from the working folder, as on the command line.');

const lora = z
  .strictObject({
    rank: z.int().min(1).optional().describe('Trains a low-rank adapter of this rank instead of the weights.'),
    alpha: z.number().positive().optional().describe('Scales it by alpha / rank. Default: twice the rank.'),
    rslora: z.boolean().default(false).describe('Scales it by alpha / sqrt(rank).'),
    dora: z.boolean().default(false).describe('Trains the magnitudes of its rows apart from their directions.'),
    targets: texts()
      .optional()
      .describe('Layers that get one, by the end of their names: `[q_proj, v_proj]`. Default: all-linear.'),
  })
  .describe('A low-rank adapter; without `rank` there is none.');

const data = z
  .strictObject({
    files: texts().optional().describe('.jsonl, .ndjson or .json, each also with .gz.'),
    heldout: texts().optional().describe('Rows to evaluate on, in place of a share of the data.'),
    heldoutFraction,
    format: z
      .enum([...formats.keys()].sort() as [string, ...string[]])
      .optional()
      .describe('How the rows are laid out. Default: found by their columns.'),
    columns: z
      .record(z.string(), z.string({ error: 'expected text' }).min(1))
      .optional()
      .describe('Columns under other names: `prompt: question`.'),
    onBadRow: z
      .enum(['error', 'drop'])
      .default('error')
      .describe('Lists all bad rows and stops, or leaves them out and counts them.'),
    truncation: z
      .enum(truncations as [string, ...string[]])
      .optional()
      .describe(
        'Of rows that are too long. Default: prompt-start for pairs, end for text; a prompt that leaves no room for a completion is a bad row.',
      ),
    maxLength: z.int().min(2).optional().describe("Tokens of a row at most. Default: the model's context."),
    scoreFrom: z
      .enum(['shared', 'per-side'])
      .default('shared')
      .describe('Where the sides of a pair begin to count. Objectives on pairs.'),
    score: z
      .enum(['completion', 'all'])
      .optional()
      .describe('Which tokens count. Default: completions; all of a text without a prompt. Objectives on text.'),
    side: z
      .enum(['chosen', 'rejected'])
      .default('chosen')
      .describe('Which side of preference rows is read as text. Objectives on text.'),
  })
  .describe('Rows, and how they are read.');

const selfCheck = z.boolean().default(true).describe('A few identities are checked before the first step.');

const training = z.strictObject({ ...loopShape, selfCheck }).describe('The loop and its optimizer.');

const onlineTraining = z.strictObject({ ...shapeOf(isLoopOption), selfCheck }).describe('The loop and its optimizer.');

const rewardText =
  'expected a reward as a flag names it, `length:target=20`, or keys with its `type`; or a list of them';
const reward = z.union([text(), z.looseObject({ type: z.enum(rewardTypes() as [string, ...string[]]) })]);
const rewards = () => z.union([reward, z.array(reward).min(1)], { error: rewardText });

const online = z
  .strictObject({
    prompts: texts().optional().describe('Rows with a prompt: .jsonl, .ndjson or .json, each also with .gz.'),
    heldoutPrompts: texts().optional().describe('Prompts to evaluate on, in place of a share of the prompts.'),
    heldoutFraction,
    promptField: text().default('prompt').describe('The field that holds the prompt.'),
    rewards: rewards()
      .optional()
      .describe(
        'What is optimised: one reward, or a list of which the weighted sum is taken. `{ type, weight, ... }`.',
      ),
    critic: text()
      .optional()
      .describe('A value function apart: the folder of a reward model, or of a base to begin at 0.'),
    watch: rewards().optional().describe('Rewards that are measured and logged, not optimised.'),
    engineUrl: text().optional().describe('A completions server that draws, as vLLM. Default: the policy itself.'),
    engineModel: text().optional().describe('What that server calls the model.'),
    engineHandover: text()
      .optional()
      .describe('How it gets what is learnt: `vllm`, `sglang`, `none`, or a command that loads $KELPIE_MODEL_FOLDER.'),
    ...shapeOf((name) => !isLoopOption(name)),
  })
  .describe('Rollouts: prompts, rewards, and what is made of them. Objectives on fresh completions.');

const output = z
  .strictObject({
    folder: text().optional().describe('Where the run and its model go.'),
    merge: z.boolean().default(false).describe('Saves the whole model with the adapter merged in, not a PEFT folder.'),
  })
  .describe('What is written.');

const start = { model: model.prefault({}), lora: lora.prefault({}) };
const offlineSections = {
  ...start,
  data: data.prefault({}),
  training: training.prefault({}),
  output: output.prefault({}),
};
const onlineSections = {
  ...start,
  online: online.prefault({}),
  training: onlineTraining.prefault({}),
  output: output.prefault({}),
};

const optionsOf = (objective: Objective) =>
  z.strictObject({ name: z.literal(calledName(objective)), ...objective.options.shape }).describe(objective.summary);

/** A run with one objective: what its keys are, of which type, within which limits, and their defaults. */
export function configSchema(objective: Objective) {
  const sections = isOnline(objective) ? onlineSections : offlineSections;
  return z.strictObject({ objective: optionsOf(objective), ...sections });
}

export const trainable = (): Objective[] => [...offlineObjectives(), ...onlineObjectives()];

/** One of a user's own; what its options are, only its file knows. */
const inFile = z
  .looseObject({
    name: z
      .string()
      .regex(/\.[cm]?[jt]s(#[^#]+)?$/)
      .describe('A file that exports an objective, `./mine.ts`, or one of several in it, `./mine.ts#name`.'),
  })
  .describe('An objective of your own, and its options.');

/** Of any objective, as a file holds it. */
function fileSchema() {
  const [first, ...rest] = trainable().map(optionsOf);
  return z.strictObject({
    extends: texts().optional().describe('Files whose keys hold where this one says nothing; seen from this one.'),
    objective: z
      .union([z.discriminatedUnion('name', [first!, ...rest]), inFile])
      .describe('What is optimised, and its options.'),
    ...offlineSections,
    online: onlineSections.online,
  });
}

interface Chosen {
  readonly objective: { readonly name: string } & Readonly<Record<string, unknown>>;
}

const offlineSchema = z.strictObject(offlineSections);
const onlineSchema = z.strictObject(onlineSections);

/** Of an objective on rows of files. */
export type RunConfig = z.output<typeof offlineSchema> & Chosen;
/** Of an objective on fresh completions. */
export type OnlineConfig = Omit<z.output<typeof onlineSchema>, 'online' | 'training'> & {
  readonly online: z.output<typeof online> & Omit<OnlineOptions, keyof TrainOptions>;
  readonly training: Pick<OnlineOptions, keyof OnlineOptions & keyof TrainOptions> & { readonly selfCheck: boolean };
} & Chosen;
/** What both have. */
export type StartConfig = Pick<RunConfig, 'objective' | 'model' | 'lora' | 'output'> & {
  readonly training: Pick<RunConfig['training'], 'learningRate' | 'seed'>;
};

/** For editors. Nothing is required: what a file leaves out may stand in another one, or on the command line. */
export function jsonSchema(): Record<string, unknown> {
  const schema = z.toJSONSchema(fileSchema(), {
    io: 'input',
    override: ({ jsonSchema }) => {
      delete jsonSchema.required;
      // Of objectives that nothing is required of, more than one may fit what an editor has of one yet.
      if (jsonSchema.oneOf !== undefined) {
        jsonSchema.anyOf = jsonSchema.oneOf;
        delete jsonSchema.oneOf;
      }
    },
  });
  return { ...schema, title: 'A training run of Kelpie' };
}

export type Kind = Objective['rows'];

/** Keys of `data` that only some objectives use. */
const onlyFor: Readonly<Record<string, readonly Kind[]>> = {
  scoreFrom: ['pairs', 'unpaired'],
  score: ['single'],
  side: ['single'],
};

/** The keys of each section, as an objective uses them. */
export function keysOf(objective: Objective): ReadonlyMap<string, readonly string[]> {
  const uses = (section: string, key: string) => section !== 'data' || (onlyFor[key]?.includes(objective.rows) ?? true);
  const shapes = isOnline(objective)
    ? { model, lora, online, training: onlineTraining, output }
    : { model, lora, data, training, output };
  return new Map(
    Object.entries({ objective: optionsOf(objective), ...shapes }).map(([section, schema]) => [
      section,
      Object.keys(schema.shape).filter((key) => uses(section, key)),
    ]),
  );
}

/** Places whose value is keys of their own; below `data.columns` any. */
export const sectionPaths: ReadonlySet<string> = new Set([
  ...Object.keys({ ...offlineSections, ...onlineSections }),
  'objective',
  'data.columns',
]);
