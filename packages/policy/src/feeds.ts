import type { Weights } from './parameters.js';
import { REFERENCE } from './score.js';
import { floatTensor, type Session, type Tensor } from './sessions.js';

/** How `differentiate` calls what it adds up to and what comes out. */
const ACCUMULATOR = 'acc/';
const GRADIENT = 'grad/';

/** What is given, and weights under the names of the inputs that are left; with a prefix, the reference's. */
export function feedsOf(
  session: Session,
  weights: Weights,
  given: Iterable<readonly [string, Tensor]>,
  reference?: Weights,
): Map<string, Tensor> {
  const feeds = new Map(given);
  for (const input of session.inputs) {
    if (feeds.has(input)) continue;
    const weight = input.startsWith(REFERENCE) ? reference?.get(input.slice(REFERENCE.length)) : weights.get(input);
    if (weight !== undefined) feeds.set(input, floatTensor(weight.data, weight.shape));
  }
  return feeds;
}

/** Accumulated gradients as a session's inputs and, in the same memory, as its outputs. */
export function accumulators(
  session: Session,
  gradients: Weights,
): { given: Map<string, Tensor>; fetches: Map<string, Tensor> } {
  const given = new Map<string, Tensor>();
  const fetches = new Map<string, Tensor>();
  for (const output of session.outputs) {
    const name = output.slice(GRADIENT.length);
    const accumulator = output.startsWith(GRADIENT) ? gradients.get(name) : undefined;
    if (accumulator !== undefined) fetches.set(output, floatTensor(accumulator.data, accumulator.shape));
  }
  for (const input of session.inputs) {
    if (!input.startsWith(ACCUMULATOR)) continue;
    const { data, shape } = gradients.get(input.slice(ACCUMULATOR.length))!;
    given.set(input, floatTensor(data, shape));
  }
  return { given, fetches };
}
