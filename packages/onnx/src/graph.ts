/** An ONNX graph as a plain value. Nothing here knows ONNX Runtime or the wire format. */

export type DType =
  | 'float32'
  | 'float64'
  | 'float16'
  | 'bfloat16'
  | 'int64'
  | 'int32'
  | 'uint8'
  | 'int8'
  | 'bool'
  | 'string';

/**
 * A size: a number, or a symbolic product in canonical form (`rows`, `4*rows*tokens`), or any other opaque name
 * (`cache+1`). See dims.ts.
 */
export type Dim = number | string;

export interface ValueType {
  readonly dtype: DType;
  readonly shape: readonly Dim[];
}

export interface ValueInfo extends ValueType {
  readonly name: string;
}

/** Raw little-endian bytes, or where they lie in a file beside the model. */
export type TensorData =
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  | { readonly kind: 'external'; readonly location: string; readonly offset: number; readonly length: number };

export interface Tensor {
  readonly name: string;
  readonly dtype: DType;
  readonly dims: readonly number[];
  readonly data: TensorData;
}

export type AttributeValue =
  | { readonly type: 'int'; readonly value: bigint }
  | { readonly type: 'float'; readonly value: number }
  | { readonly type: 'string'; readonly value: string }
  | { readonly type: 'ints'; readonly value: readonly bigint[] }
  | { readonly type: 'floats'; readonly value: readonly number[] }
  | { readonly type: 'strings'; readonly value: readonly string[] }
  | { readonly type: 'tensor'; readonly value: Tensor }
  | { readonly type: 'graph'; readonly value: Graph };

export interface Node {
  readonly name: string;
  readonly opType: string;
  /** '' is the ONNX domain. */
  readonly domain: string;
  /** '' stands for an optional input that is absent. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: Readonly<Record<string, AttributeValue>>;
  /**
   * A hint for `cut`: compute this node again in the backward graph rather than keep its output. Element-wise work is
   * computed again anyway; this is for products whose result is much larger than their operands (attention scores).
   */
  readonly recompute?: boolean;
}

export interface Graph {
  readonly name: string;
  readonly inputs: readonly ValueInfo[];
  readonly outputs: readonly ValueInfo[];
  readonly initializers: readonly Tensor[];
  /** In topological order. */
  readonly nodes: readonly Node[];
  /** Types of inner values, where known. */
  readonly values: ReadonlyMap<string, ValueType>;
  /** domain -> version. */
  readonly opsets: Readonly<Record<string, number>>;
}

export const BYTES: Readonly<Record<Exclude<DType, 'string'>, number>> = {
  float32: 4,
  float64: 8,
  float16: 2,
  bfloat16: 2,
  int64: 8,
  int32: 4,
  uint8: 1,
  int8: 1,
  bool: 1,
};

export function isFloat(dtype: DType): boolean {
  return dtype === 'float32' || dtype === 'float64' || dtype === 'float16' || dtype === 'bfloat16';
}
