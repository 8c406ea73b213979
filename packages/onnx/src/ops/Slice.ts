import type { Builder, Value } from '../builder.js';
import { product } from '../dims.js';
import type { Dim } from '../graph.js';
import { type Attributes, defineOp, type VjpContext } from '../op.js';
import { axisOf, expression, unknown } from './shared/infer.js';
import { reshapeLike, zeros } from './shared/shape.js';

type Context = Pick<VjpContext, 'node' | 'attributes' | 'constant'>;

interface Cut {
  readonly axis: number;
  readonly start: number;
  readonly end: number;
  readonly step: number;
}

/** Beyond any size: ends like INT64_MAX and INT32_MAX mean "to the end". */
const FAR = 2 ** 31 - 1;

/** What is cut, from the inputs (opset 10) or attributes (before); undefined where it is computed in the graph. */
function cutsOf({ node, attributes, constant }: Context, rank: number): Cut[] | undefined {
  const part = (input: number, name: keyof Attributes) =>
    node.inputs[input] ? constant(input) : (attributes[name] as readonly number[] | undefined);
  const starts = part(1, 'starts');
  const ends = part(2, 'ends');
  if (starts === undefined || ends === undefined) return undefined;
  if ((node.inputs[3] && !constant(3)) || (node.inputs[4] && !constant(4))) return undefined;
  const axes = part(3, 'axes') ?? starts.map((_, i) => i);
  const steps = part(4, 'steps');
  return starts.map((start, i) => ({
    axis: axisOf(axes[i]!, rank, node),
    start,
    end: ends[i]!,
    step: steps?.[i] ?? 1,
  }));
}

function sizeOf(dim: Dim, { start, end, step }: Cut): Dim {
  if (typeof dim === 'number') {
    const clamp = (at: number, low: number, high: number) => Math.min(Math.max(at < 0 ? at + dim : at, low), high);
    const [from, to] =
      step > 0 ? [clamp(start, 0, dim), clamp(end, 0, dim)] : [clamp(start, 0, dim - 1), clamp(end, -1, dim - 1)];
    return Math.max(0, Math.ceil((to - from) / step));
  }
  if (start === 0 && end >= FAR && step === 1) return dim;
  if (start >= FAR && end <= -FAR && step === -1) return dim;
  if (start < 0 && end >= FAR && step === 1) return expression(`min(${dim},${-start})`);
  if (start > 0 && end >= FAR && step === 1) return expression(`max(${dim}-${start},0)`);
  return expression(`${dim}[${start}:${end >= FAR ? '' : end}:${step}]`);
}

/** Cuts with step 1 leave zeros to be put back before and after; how many before, or undefined where unknown here. */
function before(x: Value, cuts: readonly Cut[]): number[] | undefined {
  const out: number[] = x.shape.map(() => 0);
  for (const { axis, start, step } of cuts) {
    const dim = x.shape[axis]!;
    if (step !== 1 || (start < 0 && typeof dim === 'string')) return undefined;
    const from = start < 0 ? Math.max(0, start + (dim as number)) : start;
    out[axis] = typeof dim === 'number' ? Math.min(from, dim) : from;
  }
  return out;
}

function pad(g: Builder, x: Value, dy: Value, lead: readonly number[]): Value {
  const fixed = x.shape.every((dim, i) => typeof dim === 'number' && typeof dy.shape[i] === 'number');
  const pads = fixed
    ? g.ints([...lead, ...x.shape.map((dim, i) => (dim as number) - (dy.shape[i] as number) - lead[i]!)])
    : g.concat([g.ints(lead), g.sub(g.sub(g.shapeOf(x), g.shapeOf(dy)), g.ints(lead))], 0);
  return g.typed(g.emit('Pad', [dy, pads])[0]!, x.shape);
}

/** Any cut: slices the positions as x was sliced, and adds dy in where they say. */
function scatter(g: Builder, x: Value, dy: Value, { node, attributes, inputs }: VjpContext): Value {
  const size = g.emit('Size', [x])[0]!;
  const zero = g.constant('int64', [], [0]);
  const one = g.constant('int64', [], [1]);
  const positions = g.typed(g.emit('Range', [zero, size, one])[0]!, [product(x.shape)]);
  const kept = Object.fromEntries(
    Object.entries(attributes).map(([name, value]) => [name, value as readonly number[] | undefined]),
  );
  const from = g.emit('Slice', [reshapeLike(g, positions, x), ...inputs.slice(1, node.inputs.length)], kept)[0]!;
  const flat = (value: Value) => g.reshape(value, [product(value.shape)]);
  const into = flat(zeros(g, x));
  return reshapeLike(g, g.emit('ScatterElements', [into, flat(from), flat(dy)], { axis: 0 })[0]!, x);
}

/** y = x[start:end:step] along axes;   dx = dy between zeros */
export const Slice = defineOp({
  opType: 'Slice',
  inputs: ['differentiable', 'discrete'],
  infer: ([x], context) => {
    const cuts = cutsOf(context, x!.shape.length);
    if (cuts === undefined) return [{ dtype: x!.dtype, shape: x!.shape.map((_, i) => unknown(context.node, i)) }];
    const shape = [...x!.shape];
    for (const cut of cuts) shape[cut.axis] = sizeOf(shape[cut.axis]!, cut);
    return [{ dtype: x!.dtype, shape }];
  },
  vjp: (context, g) => {
    const [x, dy] = [context.inputs[0]!, context.dy[0]!];
    const cuts = cutsOf(context, x.shape.length);
    const lead = cuts && before(x, cuts);
    return [lead ? pad(g, x, dy, lead) : scatter(g, x, dy, context)];
  },
});
