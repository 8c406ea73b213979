import { encodeModel, type Graph, OnnxError, withoutIdentities } from '@kelpie/onnx';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { OutputMemory } from './output-memory.js';
import type { FloatArray } from './parameters.js';

export { Tensor } from 'onnxruntime-node';

export interface Session {
  readonly graph: Graph;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /**
   * @param feeds one tensor per input.
   * @param fetches tensors to write outputs into, which come back then; other outputs come back in fresh tensors.
   */
  run(feeds: ReadonlyMap<string, Tensor>, fetches?: ReadonlyMap<string, Tensor>): Promise<Record<string, Tensor>>;
}

export interface SessionOptions {
  readonly threads: number;
  /** Graphs as they are written: ONNX Runtime's fusions pass through float32 or lack float64 kernels. */
  readonly verbatim: boolean;
}

/**
 * onnxruntime-node copies each output into new memory, even one that was written where it was asked for. What it cannot return
 * at all it refuses in the order of the outputs, behind the run and before it copies any: so an empty sequence, asked for
 * first, keeps it from copying.
 */
const UNRETURNED = 'unreturned';
const REFUSAL = 'Non tensor type';

/** Sessions by name, made on first use. ONNX Runtime accepts extra feeds and ignores missing shapes in silence: checked here. */
export class Sessions {
  readonly #open = new Map<string, Promise<{ session: Session; native: InferenceSession }>>();
  readonly #options: SessionOptions;

  constructor(options: SessionOptions) {
    this.#options = options;
  }

  /**
   * @param arena keeps the memory of the largest run for the next, which spares the system's fresh pages. It is never given
   *   back: for runs that are small and alike.
   * @param small whether its outputs always are: then they are left to the binding, whose copies cost less than to avoid them.
   */
  async get(name: string, build: () => Graph, { arena = false, small = false } = {}): Promise<Session> {
    let opened = this.#open.get(name);
    if (opened === undefined) {
      opened = this.#create(name, build(), { arena, small });
      this.#open.set(name, opened);
    }
    return (await opened).session;
  }

  async #create(
    name: string,
    graph: Graph,
    { arena, small }: { readonly arena: boolean; readonly small: boolean },
  ): Promise<{ session: Session; native: InferenceSession }> {
    let native: InferenceSession;
    try {
      const model = encodeModel(withoutIdentities(graph), small ? {} : { sequence: UNRETURNED });
      native = await InferenceSession.create(model, {
        executionProviders: ['cpu'],
        intraOpNumThreads: this.#options.threads,
        interOpNumThreads: 1,
        executionMode: 'sequential',
        graphOptimizationLevel: this.#options.verbatim ? 'disabled' : 'all',
        enableMemPattern: false,
        // Without arenas all sessions share malloc's heap.
        enableCpuMemArena: arena,
        // Threads that sleep between the operators of a run wake late. Every session has threads of its own: those that
        // spin on after a run would take the cores from the session that runs next.
        extra: { session: { intra_op: { allow_spinning: '1' }, force_spinning_stop: '1' } },
        logSeverityLevel: 3,
      });
    } catch (cause) {
      throw new OnnxError(
        'session',
        `ONNX Runtime refused graph \`${name}\`: ${cause instanceof Error ? cause.message : cause}`,
        { graph: name },
        cause,
      );
    }
    return { native, session: wrap(name, graph, native, small ? undefined : new OutputMemory(graph)) };
  }

  async dispose(): Promise<void> {
    const opened = await Promise.allSettled(this.#open.values());
    this.#open.clear();
    for (const result of opened) if (result.status === 'fulfilled') await result.value.native.release();
  }
}

function wrap(name: string, graph: Graph, native: InferenceSession, memory: OutputMemory | undefined): Session {
  const inputs = graph.inputs.map((input) => input.name);
  const outputs = graph.outputs.map((output) => output.name);
  return {
    graph,
    inputs,
    outputs,
    async run(feeds, fetches = new Map()) {
      const given: Record<string, Tensor> = {};
      for (const input of inputs) {
        const tensor = feeds.get(input);
        if (tensor === undefined)
          throw new OnnxError('missing-feed', `graph \`${name}\` wants input \`${input}\``, { graph: name, input });
        given[input] = tensor;
      }
      const inPlace = memory?.of(given, fetches);
      const wanted: Record<string, Tensor | null> = {};
      if (inPlace !== undefined) wanted[UNRETURNED] = null;
      for (const output of outputs) wanted[output] = inPlace?.[output] ?? fetches.get(output) ?? null;
      try {
        const returned = await native.run(given, wanted);
        return inPlace ?? (fetches.size === 0 ? returned : { ...returned, ...Object.fromEntries(fetches) });
      } catch (cause) {
        const text = cause instanceof Error ? cause.message : String(cause);
        if (inPlace !== undefined && text.includes(REFUSAL)) return inPlace;
        throw new OnnxError('run', `graph \`${name}\` failed: ${text}`, { graph: name }, cause);
      }
    },
  };
}

export function floatTensor(data: FloatArray, dims: readonly number[]): Tensor {
  return data instanceof Float64Array ? new Tensor('float64', data, dims) : new Tensor('float32', data, dims);
}

/** The numbers of an output. */
export function floats(tensor: Tensor): FloatArray {
  return tensor.data as FloatArray;
}
