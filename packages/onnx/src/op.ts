import type { Builder, Value } from './builder.js';
import type { AttributeValue, Node, ValueType } from './graph.js';

/**
 * What an input is to differentiation: `differentiable`; `discrete` (indices, shapes, conditions: no gradient by
 * nature); `unwritten` (has a gradient that nobody has written: asking for it is an error).
 */
export type InputKind = 'differentiable' | 'discrete' | 'unwritten';

/** Attributes as plain numbers, strings and arrays; bigint ints become numbers. */
export type Attributes = Readonly<Record<string, number | string | readonly number[] | readonly string[] | undefined>>;

export interface InferContext {
  readonly node: Node;
  readonly attributes: Attributes;
  /** Version of the node's domain. */
  readonly opset: number;
  /** The value of input i when it is a constant of the graph (shapes, axes), else undefined. */
  constant(input: number): readonly number[] | undefined;
}

export interface VjpContext {
  readonly node: Node;
  readonly attributes: Attributes;
  /** undefined = optional input that is absent. */
  readonly inputs: readonly (Value | undefined)[];
  /** In their places; an output that is absent is a hole. */
  readonly outputs: readonly Value[];
  /** Cotangent of each output; undefined = zero. At least one is defined. */
  readonly dy: readonly (Value | undefined)[];
  /** Whether input i needs a gradient: build only what is wanted. */
  readonly wanted: readonly boolean[];
  constant(input: number): readonly number[] | undefined;
}

/**
 * An operator: its shape rule and its vector-Jacobian product side by side, in a file named after the op type.
 * A rule returns one cotangent per input (undefined where none is wanted or it is zero), each with the shape of the
 * *broadcast* operation: summing back to the input's own shape is done by `differentiate`, as is adding up several uses.
 */
export interface Op {
  readonly opType: string;
  readonly domain: string;
  /** Opset versions at which the operator's meaning, as written here, holds: from the first on. */
  readonly opset: number;
  /** Per input; the last one repeats for variadic inputs. */
  readonly inputs: readonly InputKind[];
  /** True when computing the output again costs little beside keeping it (element-wise work). */
  readonly cheap: boolean;
  infer(inputs: readonly (ValueType | undefined)[], context: InferContext): ValueType[];
  /** Absent when no input is differentiable. */
  vjp?(context: VjpContext, g: Builder): readonly (Value | undefined)[];
}

type Definition = Omit<Op, 'domain' | 'opset' | 'cheap'> & Partial<Pick<Op, 'domain' | 'opset' | 'cheap'>>;

/** Fills in what most operators share: the ONNX domain, opset 1, cheap. */
export function defineOp(definition: Definition): Op {
  return { domain: '', opset: 1, cheap: true, ...definition };
}

export function kindOf(op: Op, input: number): InputKind {
  return op.inputs[Math.min(input, op.inputs.length - 1)] ?? 'discrete';
}

/** Attribute values in plain form. */
export function plain(attributes: Readonly<Record<string, AttributeValue>>): Attributes {
  const out: Record<string, number | string | readonly number[] | readonly string[]> = {};
  for (const [key, attribute] of Object.entries(attributes)) {
    if (attribute.type === 'int') out[key] = Number(attribute.value);
    else if (attribute.type === 'ints') out[key] = attribute.value.map(Number);
    else if (attribute.type !== 'tensor' && attribute.type !== 'graph') out[key] = attribute.value;
  }
  return out;
}
