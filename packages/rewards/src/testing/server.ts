import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Asked {
  readonly rows: readonly {
    readonly prompt: string;
    readonly completion: string;
    readonly meta: Record<string, unknown>;
  }[];
  readonly headers: IncomingMessage['headers'];
  /** How many requests came before it. */
  readonly before: number;
}

export interface TestServer {
  readonly url: string;
  readonly asked: readonly Asked[];
  /** Requests that were under way at once, at most. */
  readonly most: number;
  close(): Promise<void>;
}

/** A server on the loopback interface that answers as `answer` says. */
export async function startServer(answer: (asked: Asked, response: ServerResponse) => unknown): Promise<TestServer> {
  const asked: Asked[] = [];
  let [underWay, most] = [0, 0];
  const server = createServer(async (request, response) => {
    most = Math.max(most, ++underWay);
    response.on('close', () => underWay--);
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const { rows } = JSON.parse(Buffer.concat(chunks).toString()) as Asked;
    const one = { rows, headers: request.headers, before: asked.length };
    asked.push(one);
    const body = await answer(one, response);
    if (body === undefined || response.destroyed) return;
    response.setHeader('content-type', 'application/json');
    response.end(typeof body === 'string' ? body : JSON.stringify(body));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/judge`,
    asked,
    get most() {
      return most;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
