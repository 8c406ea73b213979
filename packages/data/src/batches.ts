import type { TokenTree } from '@kelpie/policy';
import { badOption, DataError, placeText, type Where } from './error.js';
import { permutation } from './shuffle.js';

export interface PlanOptions {
  readonly examples: readonly { readonly tree: TokenTree; readonly where?: Where }[];
  /** Examples of one optimizer step. */
  readonly rowsPerStep: number;
  /** Tokens of a micro-batch at most, padding included: rows times the longest row. */
  readonly microBatchTokens?: number;
  /** Rows of a micro-batch at most. */
  readonly microBatchRows?: number;
  /** Default 0. */
  readonly seed?: number;
  /** A new order each epoch, from seed and epoch. Default true. */
  readonly shuffle?: boolean;
  /** Rows of like length together within a step, the longest first. Default true. */
  readonly sortByLength?: boolean;
  /** Default 1; may be Infinity. */
  readonly epochs?: number;
  /** Leaves out an epoch's last step if it has fewer rows than the others. Default false. */
  readonly dropLast?: boolean;
}

/** One optimizer step, as indices into `examples`. */
export interface Step {
  /** From 0, over all epochs. */
  readonly step: number;
  readonly epoch: number;
  readonly rows: readonly number[];
  /** The same rows, split. */
  readonly microBatches: readonly (readonly number[])[];
  /** Tokens of the rows, each tree's trunk once; and with the padding up to each micro-batch's longest row. */
  readonly tokens: number;
  readonly paddedTokens: number;
}

/** The steps of a run. Any of them can be asked for, so a resumed run asks on from where it stopped. */
export interface Plan {
  readonly stepsPerEpoch: number;
  readonly steps: number;
  at(step: number): Step;
  /** Steps from `step` (default 0) to the last. */
  from(step?: number): Generator<Step>;
}

/** Tokens a tree takes in a batch: its trunk once, then every branch. */
export function treeTokens({ trunk, branches }: TokenTree): number {
  return branches.reduce((sum, { ids }) => sum + ids.length, trunk.length);
}

function requireCount(name: string, value: number | undefined): void {
  if (value !== undefined && !(Number.isInteger(value) && value >= 1))
    throw badOption(name, 'a whole number from 1', value);
}

function requireFit({ examples, microBatchTokens = Infinity }: PlanOptions, lengths: readonly number[]): void {
  const long = lengths.flatMap((length, i) => (length > microBatchTokens ? [i] : []));
  const [first] = long;
  if (first === undefined) return;
  const longest = Math.max(...long.map((i) => lengths[i] as number));
  const where = examples[first]?.where;
  const place = where === undefined ? `row ${first}` : placeText(where);
  throw new DataError(
    `${long.length} rows do not fit into a micro-batch of ${microBatchTokens} tokens, the first is ${place} with ${lengths[first]}.`,
    {
      code: 'row-over-budget',
      expected: `at most ${microBatchTokens} tokens`,
      received: String(longest),
      remedy: `Raise \`microBatchTokens\` to ${longest}, or lower \`maxLength\`.`,
      ...(where === undefined ? {} : { where }),
    },
  );
}

function tooFew(rows: number, rowsPerStep: number): DataError {
  const none = rows === 0;
  return new DataError(
    none
      ? 'No row is left to train on.'
      : `Of ${rows} rows no step of ${rowsPerStep} can be made, and \`dropLast\` is set.`,
    {
      code: 'bad-option',
      expected: `at least ${none ? 1 : rowsPerStep} rows`,
      received: String(rows),
      remedy: none ? 'Hold out fewer rows, or add some.' : 'Lower `rowsPerStep`, or train on the last step too.',
    },
  );
}

/**
 * Splits a step's rows so that each part, padded to its first and longest row, keeps to the caps. A row joins the open
 * part while it fits, so no part could be merged with its neighbour.
 */
function split(rows: readonly number[], lengths: readonly number[], { microBatchTokens, microBatchRows }: PlanOptions) {
  const parts: number[][] = [];
  let longest = 0;
  for (const row of rows) {
    const open = parts.at(-1);
    const length = Math.max(longest, lengths[row] as number);
    const rowsThen = (open?.length ?? 0) + 1;
    const fits = rowsThen <= (microBatchRows ?? Infinity) && rowsThen * length <= (microBatchTokens ?? Infinity);
    if (open !== undefined && fits) {
      open.push(row);
      longest = length;
    } else {
      parts.push([row]);
      longest = lengths[row] as number;
    }
  }
  return parts;
}

/**
 * Which rows each optimizer step takes and how they are split into micro-batches. A step is a function of its number
 * and the options alone.
 */
export function plan(options: PlanOptions): Plan {
  const {
    examples,
    rowsPerStep,
    seed = 0,
    shuffle = true,
    sortByLength = true,
    epochs = 1,
    dropLast = false,
  } = options;
  requireCount('rowsPerStep', rowsPerStep);
  requireCount('microBatchTokens', options.microBatchTokens);
  requireCount('microBatchRows', options.microBatchRows);
  if (epochs !== Infinity) requireCount('epochs', epochs);
  if (!Number.isInteger(seed)) throw badOption('seed', 'a whole number', seed);
  const lengths = examples.map(({ tree }) => treeTokens(tree));
  requireFit(options, lengths);
  const stepsPerEpoch = dropLast ? Math.floor(examples.length / rowsPerStep) : Math.ceil(examples.length / rowsPerStep);
  if (stepsPerEpoch === 0) throw tooFew(examples.length, rowsPerStep);
  const steps = stepsPerEpoch * epochs;
  // The order of the epoch last asked for: steps come one after another, and a shuffle a step would be wasted work.
  let held: { epoch: number; order: Uint32Array } | undefined;
  const orderOf = (epoch: number) => {
    if (held?.epoch !== epoch) held = { epoch, order: permutation(examples.length, seed, epoch) };
    return held.order;
  };
  const at = (step: number): Step => {
    if (!(Number.isInteger(step) && step >= 0 && step < steps)) throw badOption('step', `from 0 to ${steps - 1}`, step);
    const epoch = Math.floor(step / stepsPerEpoch);
    const first = (step % stepsPerEpoch) * rowsPerStep;
    const places = Array.from({ length: Math.min(rowsPerStep, examples.length - first) }, (_, i) => first + i);
    const rows = shuffle ? places.map((place) => orderOf(epoch)[place] as number) : places;
    const sorted = sortByLength
      ? rows.toSorted((a, b) => (lengths[b] as number) - (lengths[a] as number) || a - b)
      : rows;
    const microBatches = split(sorted, lengths, options);
    return {
      step,
      epoch,
      rows,
      microBatches,
      tokens: rows.reduce((sum, row) => sum + (lengths[row] as number), 0),
      paddedTokens: microBatches.reduce(
        (sum, part) => sum + part.length * Math.max(...part.map((row) => lengths[row] as number)),
        0,
      ),
    };
  };
  return {
    stepsPerEpoch,
    steps,
    at,
    *from(step = 0) {
      for (let i = step; i < steps; i++) yield at(i);
    },
  };
}
