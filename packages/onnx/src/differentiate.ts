import { Builder, type Value } from './builder.js';
import { OnnxError } from './errors.js';
import { type Graph, isFloat, type Node } from './graph.js';
import { kindOf, plain } from './op.js';
import { ops } from './registry.js';

export interface DifferentiateOptions {
  /** Values whose cotangents come in, as inputs named `d/<name>`, unless `cotangents` names a value of the graph. */
  readonly outputs: readonly string[];
  /** Output name -> the value of the graph that is its cotangent. */
  readonly cotangents?: Readonly<Record<string, string>>;
  /** Values whose gradients are wanted: graph inputs, initializers or inner values. They leave as `grad/<name>`. */
  readonly wanted: readonly string[];
  /** Of `wanted`: gradients added to an accumulator that comes in as `acc/<name>`, in the product itself where it can be. */
  readonly accumulate?: readonly string[];
}

export interface Joint {
  /** The graph with its backward part behind it; its outputs are the old ones, then the gradients. */
  readonly graph: Graph;
  /** How many of its nodes, from the front, are the old graph's. */
  readonly forwardNodes: number;
}

/**
 * Reverse-mode differentiation: the vector-Jacobian product of a graph, as a graph. One rule per operator (ops/*.ts);
 * summing over several uses, summing back over broadcast axes and accumulators are done here, never in a rule.
 *
 * @throws OnnxError `no-vjp`, listing every operator on a path from `wanted` to `outputs` that has no rule.
 */
export function differentiate(
  graph: Graph,
  { outputs, wanted, accumulate = [], cotangents: given = {} }: DifferentiateOptions,
): Joint {
  const needs = reachable(graph, wanted);
  const active = nodesBetween(graph, needs, outputs);
  refuseMissingRules(graph, active, needs);

  const dtype = outputs.map((name) => graph.values.get(name)?.dtype).includes('float64') ? 'float64' : 'float32';
  const g = Builder.from(graph, { dtype });
  const cotangents = new Map<string, Value[]>();
  const add = (name: string, value: Value) => {
    const list = cotangents.get(name);
    if (list === undefined) cotangents.set(name, [value]);
    else list.push(value);
  };
  for (const name of outputs) {
    const { shape, dtype: type } = g.value(name);
    const inner = given[name];
    add(name, inner === undefined ? g.input(`d/${name}`, type, shape) : g.value(inner));
  }

  const kept = new Set(wanted);
  for (const node of [...graph.nodes].reverse()) {
    if (!active.has(node)) continue;
    const dy = node.outputs.map((output) => total(g, cotangents.get(output) ?? []));
    node.outputs.forEach((output, i) => {
      if (kept.has(output) && dy[i] !== undefined) cotangents.set(output, [dy[i]]);
      else cotangents.delete(output);
    });
    if (dy.every((d) => d === undefined)) continue;
    for (const [i, gradient] of pull(g, node, dy, needs).entries()) {
      const name = node.inputs[i];
      if (gradient === undefined || name === undefined) continue;
      const input = g.value(name);
      add(name, g.sumTo(gradient, input.shape, input));
    }
  }

  const accumulated = new Set(accumulate);
  for (const name of wanted) {
    const contributions = cotangents.get(name) ?? [];
    const value = g.value(name);
    if (accumulated.has(name)) {
      const accumulator = g.input(`acc/${name}`, value.dtype, value.shape);
      g.output(`grad/${name}`, accumulateInto(g, accumulator, contributions));
    } else {
      const sum = total(g, contributions);
      if (sum === undefined) {
        throw new OnnxError(
          'no-path',
          `\`${name}\` has no path to ${outputs.map((o) => `\`${o}\``).join(', ')}: its gradient is zero`,
          { name },
        );
      }
      g.output(`grad/${name}`, sum);
    }
  }
  return { graph: g.build(), forwardNodes: graph.nodes.length };
}

function pull(
  g: Builder,
  node: Node,
  dy: readonly (Value | undefined)[],
  needs: ReadonlySet<string>,
): readonly (Value | undefined)[] {
  const op = ops.get(node.opType, node.domain)!;
  const inputs = node.inputs.map((name) => (name === '' ? undefined : g.value(name)));
  return g.scope(`${node.name}/vjp`, () =>
    op.vjp!(
      {
        node,
        attributes: plain(node.attributes),
        inputs,
        outputs: outputsOf(g, node),
        dy,
        wanted: node.inputs.map((name, i) => needs.has(name) && kindOf(op, i) === 'differentiable'),
        constant: (i) => g.constantOf(node.inputs[i] ?? ''),
      },
      g,
    ),
  );
}

/** Outputs in their places; one that is absent leaves a hole. */
function outputsOf(g: Builder, node: Node): Value[] {
  const outputs: Value[] = [];
  for (const [i, name] of node.outputs.entries()) if (name !== '') outputs[i] = g.value(name);
  return outputs;
}

function total(g: Builder, values: readonly Value[]): Value | undefined {
  return values.length === 0 ? undefined : values.reduce((a, b) => g.add(a, b));
}

/** Adds to the accumulator inside the last product where that is a bare Gemm: one pass less over the tensor. */
function accumulateInto(g: Builder, accumulator: Value, contributions: readonly Value[]): Value {
  let sum = accumulator;
  for (const contribution of contributions) {
    const made = g.producer(contribution.name);
    if (made?.opType === 'Gemm' && made.inputs.length === 2) {
      const c = sum;
      g.moveToEnd(contribution.name, (node) => ({ ...node, inputs: [...node.inputs, c.name] }));
      sum = contribution;
    } else sum = g.add(sum, contribution);
  }
  return sum;
}

/** Values that depend on one of `from` along differentiable inputs. */
function reachable(graph: Graph, from: readonly string[]): Set<string> {
  const reached = new Set(from);
  for (const node of graph.nodes) {
    const op = ops.get(node.opType, node.domain);
    if (!node.inputs.some((name, i) => reached.has(name) && (op === undefined || kindOf(op, i) !== 'discrete')))
      continue;
    for (const output of node.outputs) {
      const dtype = graph.values.get(output)?.dtype;
      if (dtype === undefined || isFloat(dtype)) reached.add(output);
    }
  }
  return reached;
}

/** Nodes on a path from a needed value to one of the outputs. */
function nodesBetween(graph: Graph, needs: ReadonlySet<string>, outputs: readonly string[]): Set<Node> {
  const wanted = new Set(outputs);
  const between = new Set<Node>();
  for (const node of [...graph.nodes].reverse()) {
    if (!node.outputs.some((name) => wanted.has(name)) || !node.outputs.some((name) => needs.has(name))) continue;
    if (!node.inputs.some((name) => needs.has(name))) continue;
    between.add(node);
    for (const name of node.inputs) if (needs.has(name)) wanted.add(name);
  }
  return between;
}

function refuseMissingRules(graph: Graph, active: ReadonlySet<Node>, needs: ReadonlySet<string>): void {
  const missing = new Map<string, string[]>();
  const note = (what: string, node: Node) => missing.set(what, [...(missing.get(what) ?? []), node.name]);
  for (const node of graph.nodes) {
    if (!active.has(node)) continue;
    const op = ops.get(node.opType, node.domain);
    const full = node.domain === '' ? node.opType : `${node.domain}.${node.opType}`;
    if (op?.vjp === undefined) note(`${full} (add a vjp in packages/onnx/src/ops/${node.opType}.ts)`, node);
    else {
      node.inputs.forEach((name, i) => {
        if (needs.has(name) && kindOf(op, i) === 'unwritten')
          note(`${full}, input ${i} (its gradient is not written)`, node);
      });
    }
  }
  if (missing.size === 0) return;
  const list = [...missing].map(
    ([what, nodes]) => `  ${what}: ${nodes.length} node${nodes.length > 1 ? 's' : ''}, first \`${nodes[0]}\``,
  );
  throw new OnnxError(
    'no-vjp',
    `graph \`${graph.name}\` cannot be differentiated; operators without a rule:\n${list.join('\n')}`,
    {
      operators: [...missing.keys()].join('; '),
    },
  );
}
