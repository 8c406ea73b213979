import { prune } from './cut.js';
import type { Joint } from './differentiate.js';
import { OnnxError } from './errors.js';
import type { Graph, Node, ValueInfo } from './graph.js';

/**
 * One graph of a differentiated graph and what stands between its halves: `middle` reads values of the forward part by
 * their names, and its outputs `d/<name>` are the cotangents that the backward part asks for. Its other outputs and
 * inputs come on top; an input that both have is one. Inner names of `middle` and its nodes' get its name before them.
 *
 * @throws OnnxError `duplicate-value` where an output of `middle` is a value that the joint graph makes itself.
 */
export function fuse({ graph, forwardNodes }: Joint, middle: Graph): Graph {
  const made = new Set(graph.nodes.flatMap(({ outputs }) => outputs));
  const clash = middle.outputs.find(({ name }) => made.has(name));
  if (clash !== undefined) {
    throw new OnnxError('duplicate-value', `value \`${clash.name}\` is made by both graphs`, { name: clash.name });
  }
  const outer = new Set([...middle.inputs, ...middle.outputs].map(({ name }) => name));
  const called = (name: string) => (name === '' || outer.has(name) ? name : `${middle.name}/${name}`);
  const renamed = (node: Node): Node => ({
    ...node,
    name: node.name && `${middle.name}/${node.name}`,
    inputs: node.inputs.map(called),
    outputs: node.outputs.map(called),
  });
  const names = (values: readonly ValueInfo[]) => new Set(values.map(({ name }) => name));
  const given = names(graph.inputs);
  const handed = names(middle.outputs);
  const nodes = [
    ...graph.nodes.slice(0, forwardNodes),
    ...middle.nodes.map(renamed),
    ...graph.nodes.slice(forwardNodes),
  ];
  return prune({
    name: `${graph.name}/${middle.name}`,
    inputs: [
      ...graph.inputs.filter(({ name }) => !handed.has(name)),
      ...middle.inputs.filter(({ name }) => !given.has(name) && !made.has(name)),
    ],
    outputs: [
      ...graph.outputs.filter(({ name }) => name.startsWith('grad/')),
      ...middle.outputs.filter(({ name }) => !given.has(name)),
    ],
    initializers: [...graph.initializers, ...middle.initializers.map((t) => ({ ...t, name: called(t.name) }))],
    nodes,
    values: new Map([...graph.values, ...[...middle.values].map(([name, type]) => [called(name), type] as const)]),
    opsets: mostOf(graph.opsets, middle.opsets),
  });
}

function mostOf(a: Graph['opsets'], b: Graph['opsets']): Graph['opsets'] {
  const domains = new Set([...Object.keys(a), ...Object.keys(b)]);
  return Object.fromEntries([...domains].map((domain) => [domain, Math.max(a[domain] ?? 0, b[domain] ?? 0)]));
}
