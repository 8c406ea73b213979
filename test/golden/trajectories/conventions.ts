import { type Objective, sft, weighted } from '@kelpie/objectives';
import { readDivergence } from './divergences.js';
import { dpoLosses, readLossSettings, readWeighting } from './dpo-losses.js';
import { type Fields, NotYet } from './fields.js';
import { type OnlineConvention, readGrpo, readRloo } from './online/options.js';
import { type Chosen, cpoLoss, dftLoss, ktoLoss, orpoLoss, rewardLoss } from './reference-free.js';

/** How a trainer of TRL computes a step, said in options of ours. */
export interface Convention {
  readonly objective: Objective;
  readonly objectiveOptions: Readonly<Record<string, unknown>>;
  /** What the loss is averaged over. */
  readonly average: 'step' | 'micro-batches';
  /** Reference log-probabilities are taken once, before training. */
  readonly precompute: boolean;
  /** The reference follows: after the update of every so many steps it is this mixture of the policy and itself. */
  readonly moving?: { readonly every: number; readonly mixture: number };
  /** Of a trainer on rollouts: what it does with them. */
  readonly online?: OnlineConvention;
  /** No sequence is longer. */
  readonly maxLength: number;
}

/** What of a file beside its options decides on the loss. */
export interface About {
  /** Rows bring margins. */
  readonly margins: boolean;
}

type Reader = (options: Fields, about: About) => Convention;

/** By TRL's name of the trainer. */
const readers: Readonly<Record<string, Reader>> = {
  dpo: readDpo,
  sft: readSft,
  kto: (options) => perMicroBatch(ktoLoss(options), options),
  cpo: (options) => perMicroBatch(cpoLoss(options), options),
  orpo: (options) => perMicroBatch(orpoLoss(options), options),
  reward: (options, { margins }) => perMicroBatch(rewardLoss(options, margins), options),
  grpo: (options) => onRollouts(readGrpo(options), readMoving(options)),
  rloo: (options) => onRollouts(readRloo(options)),
};

/** @throws NotYet for what is known and not written; Error for what is not known at all. */
export function conventionOf(algorithm: string, options: Fields, about: About): Convention {
  const read = readers[algorithm];
  if (read === undefined) throw new Error(`the replay does not know the algorithm \`${algorithm}\``);
  const convention = read(options, about);
  options.requireAllRead();
  return convention;
}

/**
 * Each loss is a mean over its micro-batch, the step's the mean of those. `sft` is the mean over the chosen tokens.
 * Rewards are logged whatever the loss is.
 */
function readDpo(options: Fields): Convention {
  const losses = options.strings('loss_type');
  const weights = options.nullable('loss_weights', options.numbers) ?? losses.map(() => 1);
  if (losses.length === 0 || weights.length !== losses.length) {
    throw new Error(`options: ${losses.length} loss_type and ${weights.length} loss_weights`);
  }
  const settings = readLossSettings(options);
  const weighting = readWeighting(options);
  const divergence = readDivergence(options);
  const terms = losses.map((loss, i) => {
    const termOf = dpoLosses[loss];
    if (termOf === undefined) throw new Error(`options: the replay does not know loss_type ${loss}`);
    return { ...weighting.pairs(weighting.tokens(divergence(termOf(settings)))), weight: weights[i]! };
  });
  // With a weight of 0 for the rewards that are logged beside a likelihood alone.
  const logged = { ...weighting.tokens(dpoLosses.sigmoid!(settings)), weight: 0 };
  return {
    objective: weighted(losses.some((loss) => loss !== 'sft') ? terms : [logged, ...terms]),
    objectiveOptions: {},
    average: 'micro-batches',
    precompute: options.boolean('precompute_ref_log_probs'),
    ...readMoving(options),
    maxLength: maxLengthOf(options),
  };
}

function readMoving(options: Fields): Pick<Convention, 'moving'> {
  const moves = options.boolean('sync_ref_model');
  const moving = { every: options.number('ref_model_sync_steps'), mixture: options.number('ref_model_mixup_alpha') };
  return moves ? { moving } : {};
}

/** The mean over all target tokens of the step. Which tokens are targets is in the rows. */
function readSft(options: Fields): Convention {
  const loss = options.choice('loss_type', ['nll', 'dft']);
  if (options.boolean('packing')) throw new NotYet('packing does not exist yet');
  options.nullable('completion_only_loss', options.boolean);
  return {
    ...(loss === 'dft' ? dftLoss : { objective: sft as Objective, objectiveOptions: { reduction: 'tokens' } }),
    average: 'step',
    precompute: false,
    maxLength: maxLengthOf(options),
  };
}

/** Each loss is a mean over its micro-batch, the step's the mean of those. */
function perMicroBatch(chosen: Chosen, options: Fields): Convention {
  const precompute = options.has('precompute_ref_log_probs') && options.boolean('precompute_ref_log_probs');
  return { ...chosen, average: 'micro-batches', precompute, maxLength: maxLengthOf(options) };
}

function onRollouts(online: OnlineConvention, moving: Pick<Convention, 'moving'> = {}): Convention {
  return {
    objective: online.objective,
    objectiveOptions: online.objectiveOptions,
    average: 'micro-batches',
    precompute: false,
    ...moving,
    online,
    maxLength: Number.POSITIVE_INFINITY,
  };
}

function maxLengthOf(options: Fields): number {
  return options.nullable('max_length', options.number) ?? Number.POSITIVE_INFINITY;
}
