import { wasm } from '../generated/adamw-wasm.js';
import { type AdamWTensor, coefficients } from './adamw.js';
import type { Block } from './block.js';

/** What is used of the global object; Node's types leave it out. */
declare const WebAssembly: {
  readonly Memory: new (pages: { initial: number; maximum: number }) => { readonly buffer: ArrayBuffer };
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object, imports: object) => { readonly exports: unknown };
};

/** `packages/policy/assembly/adamw.ts` */
interface Kernels {
  adamw(...placesSizeAndCoefficients: number[]): void;
  sumsOfSquares(a: number, b: number, c: number, d: number, size: number, sums: number): void;
}

const PAGE = 65_536;
const PARTS = ['parameter', 'gradient', 'm', 'v'] as const;
/** Arrays begin at cache lines. */
const LINE = 64;
/** The kernels work on this many gradients at once, and keep their sums at the beginning of the memory. */
const LANES = 4;
const SUMS = 0;

/** Bytes of an array: whole lanes, so that kernels need no tail; what is behind the numbers is zero. */
function padded(length: number): number {
  return Math.ceil((length * 4) / LINE) * LINE;
}

/** Bytes that a float32 tensor takes in a block. */
export function bytesOf(length: number): number {
  return PARTS.length * padded(length);
}

/**
 * float32 tensors of the given lengths in one WebAssembly memory, whose kernels give the bits of `adamw` and
 * `sumOfSquares`. Its pages are zero and take no room until they are written.
 */
export function wasmBlock(lengths: readonly number[]): Block {
  const pages = Math.ceil((LINE + lengths.reduce((sum, length) => sum + bytesOf(length), 0)) / PAGE);
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
  const module = new WebAssembly.Module(Buffer.from(wasm, 'base64'));
  const kernels = new WebAssembly.Instance(module, { env: { memory } }).exports as Kernels;
  const tensors = layOut(lengths, memory.buffer);
  const byLength = [...lengths.keys()].sort((a, b) => lengths[b]! - lengths[a]!);
  const sumsOfLanes = new Float64Array(memory.buffer, SUMS, LANES);
  return {
    tensors,
    sumsOfSquares: () => {
      const sums = lengths.map(() => 0);
      const waiting = byLength.map((i) => ({ i, at: tensors[i]!.gradient.byteOffset, left: padded(lengths[i]!) }));
      for (let lanes = waiting.splice(0, LANES); lanes.length > 0; ) {
        const size = Math.min(...lanes.map(({ left }) => left));
        const [a = 0, b = a, c = a, d = a] = lanes.map(({ at }) => at);
        sumsOfLanes.set(lanes.map(({ i }) => sums[i]!));
        kernels.sumsOfSquares(a, b, c, d, size, SUMS);
        for (const [lane, tensor] of lanes.entries()) {
          sums[tensor.i] = sumsOfLanes[lane]!;
          tensor.at += size;
          tensor.left -= size;
        }
        lanes = lanes.filter(({ left }) => left > 0);
        lanes.push(...waiting.splice(0, LANES - lanes.length));
      }
      return sums;
    },
    adamw: (decays, step) => {
      for (const [i, tensor] of tensors.entries()) {
        const places = PARTS.map((part) => tensor[part].byteOffset);
        kernels.adamw(...places, padded(lengths[i]!), ...coefficients(step, decays[i]!));
      }
    },
  };
}

/** Part by part: moments that are not used yet share no page with what is. */
function layOut(lengths: readonly number[], buffer: ArrayBuffer): AdamWTensor[] {
  let at = LINE;
  const array = (length: number) => {
    const data = new Float32Array(buffer, at, length);
    at += padded(length);
    return data;
  };
  const [parameters, gradients, ms, vs] = PARTS.map(() => lengths.map(array));
  return lengths.map((_, i) => ({
    parameter: parameters![i]!,
    gradient: gradients![i]!,
    m: ms![i]!,
    v: vs![i]!,
  }));
}
