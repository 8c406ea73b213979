import { type Graph, inFirstTurn, repeated } from '@kelpie/onnx';
import type { ModelBuilder } from '../model-builder.js';
import type { Tensor } from '../sessions.js';

const TURN = 'turn';

/** A tensor as the input of a step by itself, and of the first of several turns. */
export const aloneAndFirst = (name: string, tensor: Tensor): (readonly [string, Tensor])[] => [
  [name, tensor],
  [inFirstTurn(name), tensor],
];

/**
 * Declares what a step reads that is another in each turn, out of what it is in the first: positions and angles go on by one,
 * of the numbers that are drawn by [rows, turns] each turn takes a column, and the newest tokens are one more.
 */
export function declareTurns({ g, rows }: ModelBuilder): void {
  const turn = g.input(TURN, 'int64', []);
  for (const name of ['positions', 'angles'])
    g.emit('Add', [g.input(inFirstTurn(name), 'int64', [rows, 1]), turn], {}, { names: [name] });
  const newest = g.mul(turn, g.ints([0, 1]));
  g.emit('Add', [g.input(inFirstTurn('parts'), 'int64', [2]), newest], {}, { names: ['parts'] });
  const uniforms = g.input(inFirstTurn('uniforms'), 'float64', [rows, 'turns']);
  g.emit('Gather', [uniforms, g.reshape(turn, [1])], { axis: 1 }, { names: ['uniforms'] });
}

/** A step with its choice, over and over: the token that is chosen is the next one's, keys and values of the newest grow. */
export function inTurns(step: Graph): Graph {
  const grown = step.outputs.map(({ name }) => name).filter((name) => name.startsWith('grown/'));
  const chosen = step.outputs.map(({ name }) => name).filter((name) => !name.startsWith('grown/'));
  const carried = new Map([['ids', 'id'], ...grown.map((name) => [name.replace('grown', 'recent'), name] as const)]);
  return repeated(step, { turn: TURN, carried, collected: chosen });
}
