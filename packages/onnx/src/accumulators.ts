import { prune } from './cut.js';
import type { Graph, Node } from './graph.js';

/**
 * A differentiated graph for accumulators that hold nothing but zeros: they are not read, so that no product copies one
 * into its result first. The sums are the same, bit for bit, but for the sign of a zero.
 */
export function withoutAccumulators(graph: Graph): Graph {
  return prune({ ...graph, nodes: graph.nodes.map(freed) });
}

const isAccumulator = (name: string | undefined): boolean => name?.startsWith('acc/') === true;

function freed(node: Node): Node {
  const { opType, inputs } = node;
  if (opType === 'Gemm' && isAccumulator(inputs[2])) return { ...node, inputs: inputs.slice(0, 2) };
  if (opType === 'Add' && inputs.some(isAccumulator)) {
    const [other] = inputs.filter((name) => !isAccumulator(name));
    return { ...node, opType: 'Identity', inputs: [other!] };
  }
  return node;
}
