import { parentPort } from 'node:worker_threads';
import { Engine } from './engine.js';
import { pullbackSpent } from './errors.js';
import type { Failure, Method, OpenReply, Progress, Reply, Request, VjpReply } from './protocol.js';
import type { Cotangents, SampledToken, SampleRequest, Vjp } from './types.js';

/** The thread that owns a policy. ONNX Runtime blocks the thread it runs in: whoever shows progress is elsewhere. */
const port = parentPort;
if (port === null) throw new Error('packages/policy/src/worker.ts is the entry of a worker thread');

let engine: Engine | undefined;
const open = new Map<number, Vjp>();
const running = new Map<number, AbortController>();
// Calls run one after the other, in the order they came.
let queue: Promise<void> = Promise.resolve();

port.on('message', (request: Request) => {
  if ('abort' in request) {
    running.get(request.abort)?.abort();
    return;
  }
  const { id, method, args } = request;
  const controller = new AbortController();
  running.set(id, controller);
  queue = queue.then(async () => {
    let reply: Reply;
    try {
      reply = { id, result: await call(id, method, args, controller.signal) };
    } catch (error) {
      reply = { id, failure: describe(error) };
    }
    running.delete(id);
    port.postMessage(reply);
  });
});

async function call(id: number, method: Method, args: readonly unknown[], signal: AbortSignal): Promise<unknown> {
  if (method === 'open') {
    engine = await Engine.open(args[0] as Parameters<typeof Engine.open>[0]);
    return { info: engine.info } satisfies OpenReply;
  }
  if (engine === undefined) throw new Error('the policy is not open');
  if (method === 'vjp') {
    const vjp = await engine.vjp(args[0] as Parameters<Engine['vjp']>[0]);
    open.set(id, vjp);
    return { vjp: id, scores: vjp.scores } satisfies VjpReply;
  }
  if (method === 'pullback' || method === 'release') {
    const vjp = open.get(args[0] as number);
    open.delete(args[0] as number);
    if (method === 'release') return vjp?.release();
    if (vjp === undefined) throw pullbackSpent();
    return vjp.pullback(args[1] as Cotangents);
  }
  if (method === 'sample') {
    const [request, listens] = args as [SampleRequest, boolean];
    const onToken = (token: SampledToken) => port!.postMessage({ id, token } satisfies Progress);
    return engine.sample(request, { signal, ...(listens ? { onToken } : {}) });
  }
  const bound = engine[method] as (...args: unknown[]) => Promise<unknown>;
  return bound.apply(engine, [...args]);
}

function describe(error: unknown): Failure {
  if (!(error instanceof Error)) return { name: 'Error', message: String(error) };
  const { code, where } = error as { code?: string; where?: Failure['where'] };
  return {
    name: error.name,
    message: error.message,
    ...(error.stack === undefined ? {} : { stack: error.stack }),
    ...(code === undefined ? {} : { code }),
    ...(where === undefined ? {} : { where }),
  };
}
