import type { Graph, Node, ValueInfo } from './graph.js';
import { withoutIdentities } from './identities.js';

export interface Repetition {
  /** The int64 [] input that counts the turns, from 0. */
  readonly turn: string;
  /** Inputs, each with the output that it is in the next turn. */
  readonly carried: ReadonlyMap<string, string>;
  /** Outputs that leave every turn. */
  readonly collected: readonly string[];
}

/** The name of what an input that is carried is in the first turn, as an input of the whole. */
export const inFirstTurn = (input: string): string => `first/${input}`;
/** The name of an output of the last turn. */
export const inLastTurn = (output: string): string => `last/${output}`;
/** The name of an output of all turns, one below the other. */
export const inAllTurns = (output: string): string => `all/${output}`;

/**
 * A graph several times in one run, as often as the new int64 [] input `turns` says. What is carried comes in as `first/INPUT` and
 * leaves as `last/OUTPUT`, which may grow on the way; what is collected leaves as `all/OUTPUT` [turns, ...]. The other inputs
 * are the same in all turns.
 */
export function repeated(graph: Graph, { turn, carried, collected }: Repetition): Graph {
  const { name, inputs, outputs, nodes, values, opsets, initializers } = withoutIdentities(graph);
  const infoOf = (all: readonly ValueInfo[]) => new Map(all.map((info) => [info.name, info]));
  const [inputOf, outputOf] = [infoOf(inputs), infoOf(outputs)];
  const own = new Set([turn, ...carried.keys()]);
  const [goesOn, stillGoesOn] = ['goes on', 'still goes on'].map(
    (what): ValueInfo => ({ name: what, dtype: 'bool', shape: [] }),
  );
  // Of two outputs of a turn that are one value, each wants a name.
  const copies = collected.map((output) => ({ ...outputOf.get(output)!, name: `of a turn/${output}` }));
  const identity = (from: string, to: string): Node => ({
    ...{ name: to, opType: 'Identity', domain: '', inputs: [from], outputs: [to], attributes: {} },
  });
  const body: Graph = {
    name: `${name}, a turn`,
    inputs: [inputOf.get(turn)!, goesOn!, ...[...carried.keys()].map((input) => inputOf.get(input)!)],
    outputs: [stillGoesOn!, ...[...carried.values()].map((output) => outputOf.get(output)!), ...copies],
    initializers,
    nodes: [
      ...nodes,
      identity(goesOn!.name, stillGoesOn!.name),
      ...copies.map((copy, i) => identity(collected[i]!, copy.name)),
    ],
    // Those of the whole are declared there.
    values: new Map([...values].filter(([value]) => !inputOf.has(value))),
    opsets,
  };
  const turns: ValueInfo = { name: 'turns', dtype: 'int64', shape: [] };
  const firsts = [...carried.keys()].map((input) => ({ ...inputOf.get(input)!, name: inFirstTurn(input) }));
  const lasts = [...carried.values()].map((output) => ({ ...outputOf.get(output)!, name: inLastTurn(output) }));
  const alls = collected.map((output): ValueInfo => {
    const info = outputOf.get(output)!;
    return { name: inAllTurns(output), dtype: info.dtype, shape: ['turns', ...info.shape] };
  });
  const loop: Node = {
    name: 'turns',
    opType: 'Loop',
    domain: '',
    inputs: ['turns', '', ...firsts.map((first) => first.name)],
    outputs: [...lasts, ...alls].map((output) => output.name),
    attributes: { body: { type: 'graph', value: body } },
  };
  return {
    name,
    inputs: [turns, ...inputs.filter((input) => !own.has(input.name)), ...firsts],
    outputs: [...lasts, ...alls],
    initializers: [],
    nodes: [loop],
    values: new Map(),
    opsets,
  };
}
