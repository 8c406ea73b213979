import { OnnxError } from './errors.js';
import type { DType, Tensor } from './graph.js';

/** A tensor from plain numbers. Small constants only: weights are external data or graph inputs. */
export function encodeTensor(name: string, dtype: DType, dims: readonly number[], data: ArrayLike<number>): Tensor {
  const numbers = Array.from(data);
  const expected = dims.reduce((a, b) => a * b, 1);
  if (numbers.length !== expected) {
    throw new OnnxError(
      'shape',
      `constant \`${name}\`: [${dims.join(', ')}] holds ${expected} numbers, got ${numbers.length}`,
      { name },
    );
  }
  const typed = encoders[dtype]?.(numbers);
  if (typed === undefined)
    throw new OnnxError('dtype', `constant \`${name}\`: dtype ${dtype} cannot be written from numbers`, { name });
  return {
    name,
    dtype,
    dims: [...dims],
    data: { kind: 'bytes', bytes: new Uint8Array(typed.buffer, typed.byteOffset, typed.byteLength) },
  };
}

const encoders: Partial<Record<DType, (numbers: number[]) => ArrayBufferView>> = {
  float32: (n) => Float32Array.from(n),
  float64: (n) => Float64Array.from(n),
  int64: (n) => BigInt64Array.from(n, (x) => BigInt(x)),
  int32: (n) => Int32Array.from(n),
  uint8: (n) => Uint8Array.from(n),
  int8: (n) => Int8Array.from(n),
  bool: (n) => Uint8Array.from(n, (x) => (x === 0 ? 0 : 1)),
};

/** The numbers of a tensor whose bytes are in memory, or undefined for dtypes that are no plain numbers here. */
export function decodeTensor(tensor: Tensor): readonly number[] | undefined {
  if (tensor.data.kind !== 'bytes') return undefined;
  const bytes = tensor.data.bytes.slice();
  const buffer = bytes.buffer;
  switch (tensor.dtype) {
    case 'float32':
      return Array.from(new Float32Array(buffer));
    case 'float64':
      return Array.from(new Float64Array(buffer));
    case 'int64':
      return Array.from(new BigInt64Array(buffer), Number);
    case 'int32':
      return Array.from(new Int32Array(buffer));
    case 'int8':
      return Array.from(new Int8Array(buffer));
    case 'uint8':
    case 'bool':
      return Array.from(bytes);
    default:
      return undefined;
  }
}
