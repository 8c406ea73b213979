import type { Graph } from './graph.js';

/**
 * The graph without the `Identity` nodes that only give a graph output its name: each would copy what it names. The node
 * whose result it is makes the output itself, and all who read the result read the output.
 */
export function withoutIdentities(graph: Graph): Graph {
  const outputs = new Set(graph.outputs.map(({ name }) => name));
  const made = new Set(graph.nodes.flatMap((node) => node.outputs));
  const renamed = new Map<string, string>();
  const nodes = graph.nodes.filter(({ opType, domain, inputs: [from = ''], outputs: [to = ''] }) => {
    if (opType !== 'Identity' || domain !== '' || !outputs.has(to)) return true;
    // What comes in, or leaves under another name as well, cannot change its name.
    if (!made.has(from) || outputs.has(from) || renamed.has(from)) return true;
    renamed.set(from, to);
    return false;
  });
  if (renamed.size === 0) return graph;
  const called = (name: string) => renamed.get(name) ?? name;
  return {
    ...graph,
    nodes: nodes.map((node) => ({ ...node, inputs: node.inputs.map(called), outputs: node.outputs.map(called) })),
    values: new Map([...graph.values].filter(([name]) => !renamed.has(name))),
  };
}
