import type { Joint } from './differentiate.js';
import { OnnxError } from './errors.js';
import type { Graph, Node, ValueInfo } from './graph.js';
import { ops } from './registry.js';

export interface Halves {
  /** Computes the wanted forward outputs and, behind them, what the backward graph reads. */
  readonly forward: Graph;
  readonly backward: Graph;
  /** Values that pass from one to the other. */
  readonly saved: readonly ValueInfo[];
}

/**
 * Cuts a differentiated graph into a forward and a backward graph, as AOT autograd does. What is handed over takes memory, so
 * it is little: results of products; element-wise work, norms, softmaxes and what is marked `recompute` are computed again in
 * the backward graph.
 *
 * @param keep `nothing`: the backward graph computes the whole forward pass again, from the inputs alone.
 */
export function cut(
  { graph, forwardNodes }: Joint,
  forwardOutputs: readonly string[],
  keep: 'products' | 'nothing' = 'products',
): Halves {
  const producers = new Map<string, Node>();
  const forward = graph.nodes.slice(0, forwardNodes);
  const backward = graph.nodes.slice(forwardNodes);
  for (const node of forward) for (const output of node.outputs) producers.set(output, node);
  const backwardOutputs = graph.outputs.filter(
    ({ name }) => !forwardOutputs.includes(name) && name.startsWith('grad/'),
  );

  const saved = new Set<string>();
  const again = new Set<Node>();
  const need = (name: string): void => {
    const node = producers.get(name);
    if (node === undefined || again.has(node) || saved.has(name)) return;
    const op = ops.get(node.opType, node.domain);
    if (keep === 'nothing' || node.recompute || op?.cheap) {
      again.add(node);
      for (const input of node.inputs) need(input);
    } else saved.add(name);
  };
  for (const node of backward) for (const input of node.inputs) need(input);
  for (const { name } of backwardOutputs) need(name);

  const savedInfos = [...saved].map((name) => info(graph, name));
  const forwardOutputInfos = forwardOutputs.map((name) => info(graph, name));
  const forwardGraph = prune({
    ...graph,
    name: `${graph.name}/forward`,
    inputs: graph.inputs.filter(({ name }) => !name.startsWith('d/') && !name.startsWith('acc/')),
    outputs: [...forwardOutputInfos, ...savedInfos.filter(({ name }) => !forwardOutputs.includes(name))],
    nodes: forward,
  });
  const backwardGraph = prune({
    ...graph,
    name: `${graph.name}/backward`,
    inputs: [...graph.inputs, ...savedInfos],
    outputs: backwardOutputs,
    nodes: [...forward.filter((node) => again.has(node)), ...backward],
  });
  return { forward: forwardGraph, backward: backwardGraph, saved: savedInfos };
}

/** Drops nodes, inputs and initializers that no output needs. */
export function prune(graph: Graph): Graph {
  const needed = new Set(graph.outputs.map(({ name }) => name));
  const given = new Set(graph.inputs.map(({ name }) => name));
  const nodes: Node[] = [];
  for (const node of [...graph.nodes].reverse()) {
    if (!node.outputs.some((name) => needed.has(name) && !given.has(name))) continue;
    nodes.push(node);
    for (const input of node.inputs) needed.add(input);
  }
  nodes.reverse();
  const made = new Set(nodes.flatMap((node) => node.outputs));
  return {
    ...graph,
    nodes,
    inputs: graph.inputs.filter(({ name }) => needed.has(name)),
    initializers: graph.initializers.filter(({ name }) => needed.has(name)),
    values: new Map([...graph.values].filter(([name]) => made.has(name) || needed.has(name))),
  };
}

function info(graph: Graph, name: string): ValueInfo {
  const type = graph.values.get(name) ?? graph.inputs.find((input) => input.name === name);
  if (type === undefined)
    throw new OnnxError('unknown-value', `no value \`${name}\` in graph \`${graph.name}\``, { name });
  return { name, dtype: type.dtype, shape: type.shape };
}
