import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type AttributeValue, encodeModel, type Graph, type Node, type Tensor, type ValueInfo } from '@kelpie/onnx';
import { configOf, type Shape } from './shape.js';

/**
 * A Llama as the usual exports for ONNX Runtime have it, in the folder that transformers.js opens: one graph for prompt
 * and steps, `GroupQueryAttention` over past keys and values, which go out as present ones, weights as constants that
 * ONNX Runtime packs once. transformers.js goes by the name `batch_size`. The weights are random: for speed alone.
 */
export function writeDecoderExport(folder: string, shape: Shape): void {
  mkdirSync(join(folder, 'onnx'), { recursive: true });
  writeFileSync(join(folder, 'config.json'), JSON.stringify({ ...configOf(shape), torch_dtype: 'float32' }));
  writeFileSync(join(folder, 'onnx', 'model.onnx'), encodeModel(decoderGraph(shape)));
}

type Attributes = Readonly<Record<string, AttributeValue>>;

const int = (value: number): AttributeValue => ({ type: 'int', value: BigInt(value) });
const float = (value: number): AttributeValue => ({ type: 'float', value: Math.fround(value) });

function decoderGraph(shape: Shape): Graph {
  const { hidden, layers, heads, kvHeads = heads, vocabulary, positions } = shape;
  const { intermediate_size: ffn, rms_norm_eps: epsilon, rope_theta: theta } = configOf(shape);
  const headDim = hidden / heads;
  const inputs: ValueInfo[] = [
    { name: 'input_ids', dtype: 'int64', shape: ['batch_size', 'tokens'] },
    { name: 'attention_mask', dtype: 'int64', shape: ['batch_size', 'total'] },
  ];
  const outputs: ValueInfo[] = [{ name: 'logits', dtype: 'float32', shape: ['batch_size', 'tokens', vocabulary] }];
  const nodes: Node[] = [];
  const initializers: Tensor[] = [];
  const weight = (name: string, dims: readonly number[], data = noise(dims.reduce((a, b) => a * b, 1))): string => {
    initializers.push({ name, dtype: 'float32', dims, data: { kind: 'bytes', bytes: new Uint8Array(data.buffer) } });
    return name;
  };
  const integers = (name: string, dims: readonly number[], value: number): string => {
    const bytes = new Uint8Array(BigInt64Array.of(BigInt(value)).buffer);
    initializers.push({ name, dtype: 'int64', dims, data: { kind: 'bytes', bytes } });
    return name;
  };
  const emit = (opType: string, from: readonly string[], attributes: Attributes = {}, more: readonly string[] = []) => {
    const name = `${opType}_${nodes.length}`;
    const domain = microsoft.has(opType) ? 'com.microsoft' : '';
    nodes.push({ name, opType, domain, inputs: from, outputs: [name, ...more], attributes });
    return name;
  };
  const linear = (x: string, name: string, from: number, to: number) => emit('MatMul', [x, weight(name, [from, to])]);
  const norm = (x: string, name: string) =>
    emit('SimplifiedLayerNormalization', [x, weight(name, [hidden], new Float32Array(hidden).fill(1))], {
      axis: int(-1),
      epsilon: float(epsilon),
    });

  const held = emit('Sub', [
    emit('ReduceSum', ['attention_mask', integers('one', [1], 1)], { keepdims: int(0) }),
    'one',
  ]);
  const lengths = emit('Cast', [held], { to: int(6) });
  const sizes = emit('Shape', ['attention_mask']);
  const total = emit('Cast', [emit('Gather', [sizes, integers('last', [], 1)])], { to: int(6) });
  const [cos, sin] = (['cos', 'sin'] as const).map((f) =>
    weight(f, [positions, headDim / 2], rotations(positions, headDim, theta, Math[f])),
  );
  const embedding = weight('embedding', [vocabulary, hidden]);
  let x = emit('Gather', [embedding, 'input_ids']);
  for (let i = 0; i < layers; i++) {
    const past = ['key', 'value'].map((what) => {
      const dims = ['batch_size', kvHeads, 'past', headDim];
      inputs.push({ name: `past_key_values.${i}.${what}`, dtype: 'float32', shape: dims });
      outputs.push({
        name: `present.${i}.${what}`,
        dtype: 'float32',
        shape: ['batch_size', kvHeads, 'total', headDim],
      });
      return `past_key_values.${i}.${what}`;
    });
    const normed = norm(x, `norm${i}`);
    const [q, k, v] = (['q', 'k', 'v'] as const).map((name) =>
      linear(normed, `${name}${i}`, hidden, (name === 'q' ? heads : kvHeads) * headDim),
    );
    const mixed = emit(
      'GroupQueryAttention',
      [q!, k!, v!, ...past, lengths, total, cos!, sin!],
      { num_heads: int(heads), kv_num_heads: int(kvHeads), do_rotary: int(1), scale: float(headDim ** -0.5) },
      [`present.${i}.key`, `present.${i}.value`],
    );
    const middle = emit('Add', [x, linear(mixed, `o${i}`, heads * headDim, hidden)]);
    const inner = norm(middle, `inner${i}`);
    const gate = emit('QuickGelu', [linear(inner, `gate${i}`, hidden, ffn)], { alpha: float(1) });
    const gated = emit('Mul', [gate, linear(inner, `up${i}`, hidden, ffn)]);
    x = emit('Add', [middle, linear(gated, `down${i}`, ffn, hidden)]);
  }
  const head = linear(norm(x, 'norm'), 'head', hidden, vocabulary);
  nodes.push({ name: 'logits', opType: 'Identity', domain: '', inputs: [head], outputs: ['logits'], attributes: {} });
  const opsets = { '': 21, 'com.microsoft': 1 };
  return { name: 'decoder', inputs, outputs, initializers, nodes, values: new Map(), opsets };
}

const microsoft = new Set(['GroupQueryAttention', 'QuickGelu']);

/** Uniform, with the standard deviation of fresh weights. */
function noise(size: number): Float32Array {
  const data = new Float32Array(size);
  let state = 1;
  for (let i = 0; i < size; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    data[i] = (state / 2 ** 32 - 0.5) * 0.02 * Math.sqrt(12);
  }
  return data;
}

function rotations(positions: number, headDim: number, theta: number, f: (angle: number) => number): Float32Array {
  const half = headDim / 2;
  return Float32Array.from({ length: positions * half }, (_, i) =>
    f(Math.floor(i / half) / theta ** ((2 * (i % half)) / headDim)),
  );
}
