import type { AdamWOptions } from '@kelpie/policy';
import { asRead, type Example, type ScheduleName } from '@kelpie/runner';
import { type Convention, conventionOf } from './conventions.js';
import { examplesOf, rewardExamples } from './examples.js';
import { Fields } from './fields.js';
import { type Rollout, rolloutsOf } from './online/rows.js';

export interface Adapter {
  readonly rank: number;
  readonly alpha: number;
  readonly rslora: boolean;
  readonly dora: boolean;
  readonly reference: 'initial adapter' | 'base model';
  readonly initial: string;
  readonly final: string;
}

export interface RecordedStep {
  /** Rows of each micro-batch. */
  readonly batches: readonly (readonly number[])[];
  readonly loss: number;
  readonly gradNorm: number;
  readonly learningRate: number;
  readonly metrics: Readonly<Record<string, number>>;
}

/** A trained tensor after the last step. */
export interface RecordedTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly norm: number;
  /** Flat indexes of `values`. */
  readonly at: readonly number[];
  readonly values: readonly number[];
}

export interface Rollouts {
  readonly rows: readonly Rollout[];
  /** Rows of each rollout, in the order of their use. */
  readonly batches: readonly (readonly number[])[];
}

export interface Schedule {
  readonly name: ScheduleName;
  readonly learningRate: number;
  readonly warmupSteps: number;
  readonly steps: number;
}

/** A recorded run, every option of it understood. */
export interface Trajectory {
  readonly model: string;
  readonly convention: Convention;
  readonly optimizer: Omit<AdamWOptions, 'decay'>;
  /** Tensors by the weight decay they get. */
  readonly groups: readonly { readonly weightDecay: number; readonly parameters: readonly string[] }[];
  readonly schedule: Schedule;
  readonly adapter: Adapter | undefined;
  /** Of a reward model: the file of the scalar head it starts with. */
  readonly head?: string;
  readonly examples: readonly Example[];
  /** Of a trainer on rollouts, in place of examples. */
  readonly rollouts?: Rollouts;
  readonly steps: readonly RecordedStep[];
  /** Micro-batches of a whole step. */
  readonly accumulation: number;
  readonly final: readonly RecordedTensor[];
  /** By series: how far TRL's own float32 run was from the recorded one. */
  readonly float32: Readonly<Record<string, number>>;
}

/** @throws NotYet for what is known and not written; Error for what is not known or does not fit together. */
export function readTrajectory(json: unknown): Trajectory {
  const file = new Fields('the file', json);
  file.unused('format', 'name', 'what', 'versions');
  const algorithm = file.string('algorithm');
  const adapter = file.nullable('adapter', file.object);
  const rows = file.objects('rows');
  const convention = conventionOf(algorithm, file.object('options'), {
    margins: rows.some((row) => row.has('margin')),
  });
  const head =
    algorithm === 'reward' ? { file: file.string('head'), padTokenId: file.number('pad_token_id') } : undefined;
  const trajectory: Trajectory = {
    model: file.string('model'),
    convention,
    ...readOptimizer(file.object('optimizer')),
    adapter: adapter && readAdapter(adapter),
    ...(convention.online
      ? { examples: [], rollouts: { rows: rolloutsOf(rows), batches: readRollouts(file, rows.length) } }
      : {
          examples: head ? rewardExamples(rows, head.padTokenId, convention.maxLength) : readExamples(convention, rows),
        }),
    ...(head && { head: head.file }),
    ...readSteps(file.objects('steps'), file.object('batch'), rows.length),
    final: readFinal(file.object('final')),
    float32: file.table('float32'),
  };
  file.requireAllRead();
  return trajectory;
}

/** Of transformers; with `constant` its warm-up is without effect. */
const schedules: Readonly<Record<string, ScheduleName>> = {
  constant: 'constant',
  constant_with_warmup: 'constant',
  linear: 'linear',
  cosine: 'cosine',
};
const schedulesNotYet = ['cosine_with_restarts', 'polynomial', 'inverse_sqrt', 'cosine_with_min_lr'];

function readOptimizer(options: Fields): Pick<Trajectory, 'optimizer' | 'groups' | 'schedule'> {
  options.choice('name', ['adamw']);
  const schedule = options.choice('schedule', Object.keys(schedules), schedulesNotYet);
  const [beta1, beta2, ...more] = options.numbers('betas');
  if (beta1 === undefined || beta2 === undefined || more.length > 0) throw new Error('optimizer: expected two betas');
  const groups = options.objects('groups').map((group) => {
    const read = { weightDecay: group.number('weight_decay'), parameters: group.strings('parameters') };
    group.requireAllRead();
    return read;
  });
  const weightDecay = options.number('weight_decay');
  const strange = groups.find((group) => group.weightDecay !== 0 && group.weightDecay !== weightDecay);
  if (strange) throw new Error(`optimizer: a group decays by ${strange.weightDecay}, weight_decay is ${weightDecay}`);
  const warmupSteps = options.number('warmup_steps');
  const read = {
    optimizer: {
      betas: [beta1, beta2] as const,
      eps: options.number('eps'),
      weightDecay,
      maxGradNorm: options.number('max_grad_norm'),
    },
    groups,
    schedule: {
      name: schedules[schedule]!,
      learningRate: options.number('learning_rate'),
      warmupSteps: schedule === 'constant' ? 0 : warmupSteps,
      steps: options.number('steps'),
    },
  };
  options.requireAllRead();
  return read;
}

function readAdapter(adapter: Fields): Adapter {
  // Which modules they are is in the adapter's own config, and in the names of `final`.
  adapter.unused('target');
  const read = {
    rank: adapter.number('r'),
    alpha: adapter.number('alpha'),
    rslora: adapter.boolean('rslora'),
    dora: adapter.boolean('dora'),
    reference: adapter.choice('reference', ['initial adapter', 'base model']),
    initial: adapter.string('initial'),
    final: adapter.string('final'),
  };
  adapter.requireAllRead();
  return read;
}

function readExamples({ objective, objectiveOptions, maxLength }: Convention, rows: readonly Fields[]): Example[] {
  return asRead(examplesOf(objective.rows, rows, maxLength), objective, objectiveOptions) as Example[];
}

function readRollouts(file: Fields, rows: number): (readonly number[])[] {
  const batches = file.any('rollouts') as readonly (readonly number[])[];
  const fits = Array.isArray(batches) && batches.flat().every((row) => Number.isInteger(row) && row >= 0 && row < rows);
  if (!fits) throw new Error(`the file, rollouts: ${JSON.stringify(batches).slice(0, 60)} are no rows`);
  return [...batches];
}

function readSteps(
  steps: readonly Fields[],
  batch: Fields,
  rows: number,
): { readonly steps: RecordedStep[]; readonly accumulation: number } {
  const perStep = batch.number('rows_per_step');
  const perMicroBatch = batch.number('rows_per_micro_batch');
  const accumulation = batch.number('accumulation');
  batch.requireAllRead();
  if (perStep !== perMicroBatch * accumulation)
    throw new Error('batch: rows_per_step is not the product of the others');
  if (steps.length === 0) throw new Error('the file records no step');
  const read = steps.map((step, i) => {
    const batches = step.any('batches') as readonly (readonly number[])[];
    // The last batches of a pass may be smaller, or fewer.
    const isRow = (row: number) => Number.isInteger(row) && row >= 0 && row < rows;
    const fits =
      batches.length >= 1 &&
      batches.length <= accumulation &&
      batches.every((list) => list.length >= 1 && list.length <= perMicroBatch && list.every(isRow));
    if (!fits) throw new Error(`steps[${i}]: ${JSON.stringify(batches)} are no batches of the rows`);
    const read = {
      batches,
      loss: step.number('loss'),
      gradNorm: step.number('grad_norm'),
      learningRate: step.number('learning_rate'),
      metrics: step.table('metrics'),
    };
    step.requireAllRead();
    return read;
  });
  return { steps: read, accumulation };
}

function readFinal(final: Fields): RecordedTensor[] {
  return final.names.map((name) => {
    const tensor = final.object(name);
    const [at, values] = [tensor.numbers('at'), tensor.numbers('values')];
    if (at.length !== values.length) throw new Error(`final, ${name}: ${at.length} places, ${values.length} values`);
    // A sum cancels: it says less than norm and values.
    tensor.unused('sum');
    const read = { name, shape: tensor.numbers('shape'), norm: tensor.number('norm'), at, values };
    tensor.requireAllRead();
    return read;
  });
}
