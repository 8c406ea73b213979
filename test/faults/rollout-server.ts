import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Engine } from '@kelpie/policy';

/** What a server is asked: the path, and the JSON that was sent. */
export interface Asked {
  readonly path: string;
  readonly body: Readonly<Record<string, unknown>>;
  readonly authorization: string | undefined;
  /** Requests of this path before it. */
  readonly before: number;
}

/**
 * What becomes of a request instead of an answer: the connection is dropped, nothing ever comes, another status or text; or
 * the answer is changed before it is sent.
 */
export type Fault =
  | 'drop'
  | 'hang'
  | { readonly status: number; readonly text?: string }
  | { readonly text: string }
  | { readonly change: (answer: Answer) => unknown };

export interface Answer {
  readonly choices: readonly Choice[];
}
export interface Choice {
  readonly index: number;
  readonly finish_reason: string;
  readonly stop_reason: number | null;
  readonly token_ids: number[];
  readonly prompt_token_ids: readonly number[];
  readonly logprobs: { readonly tokens: readonly string[]; readonly token_logprobs: readonly number[] };
}

interface Body {
  readonly prompt: readonly number[];
  readonly n: number;
  readonly max_tokens: number;
  readonly temperature: number;
  readonly seed: number;
  readonly stop_token_ids: readonly number[];
}

/**
 * A completions server on the loopback interface, over a policy of its own: real ids and log-probabilities, and weights that
 * it takes from a folder as vLLM (`/collective_rpc`) and SGLang (`/update_weights_from_disk`) do. It can die, and comes back
 * with the weights it was started from.
 */
export class RolloutServer {
  readonly asked: Asked[] = [];
  /** What goes wrong with a request. */
  fault: (asked: Asked) => Fault | undefined = () => undefined;
  readonly #start: string;
  #policy: Engine;
  #server: Server | undefined;
  #port = 0;
  /** One at a time: the policy is in this thread. */
  #turn: Promise<unknown> = Promise.resolve();

  private constructor(start: string, policy: Engine) {
    this.#start = start;
    this.#policy = policy;
  }

  static async open(model: string): Promise<RolloutServer> {
    const server = new RolloutServer(model, await Engine.open({ model, threads: 1 }));
    await server.#listen();
    return server;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  asks(path: string): Asked[] {
    return this.asked.filter((asked) => asked.path === path);
  }

  /** All at once: connections break, and nobody listens. */
  async die(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (server === undefined) return;
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    server.closeAllConnections();
    await closed;
  }

  async comeBack(): Promise<void> {
    await this.#load(this.#start);
    await this.#listen();
  }

  async close(): Promise<void> {
    await this.die();
    await this.#turn;
    await this.#policy.dispose();
  }

  async #listen(): Promise<void> {
    const server = createServer(async (request, response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      const path = request.url ?? '';
      const body = JSON.parse(Buffer.concat(chunks).toString()) as Record<string, unknown>;
      const asked = { path, body, authorization: request.headers.authorization, before: this.asks(path).length };
      this.asked.push(asked);
      await this.#answer(asked, response).catch((error: Error) => this.#send(response, 500, error.message));
    });
    this.#server = server;
    await new Promise<void>((resolve) => server.listen(this.#port, '127.0.0.1', resolve));
    this.#port = (server.address() as AddressInfo).port;
  }

  async #answer(asked: Asked, response: ServerResponse): Promise<void> {
    const fault = this.fault(asked);
    if (fault === 'hang') return;
    if (fault === 'drop') return void response.destroy();
    if (typeof fault === 'object' && 'status' in fault) return this.#send(response, fault.status, fault.text ?? '');
    if (typeof fault === 'object' && 'text' in fault) return this.#send(response, 200, fault.text);
    const turn = this.#turn.then(() => this.#do(asked));
    this.#turn = turn.catch(() => {});
    const answer = await turn;
    if (answer === undefined) return this.#send(response, 404, 'no such path');
    const sent = typeof fault === 'object' ? fault.change(answer as Answer) : answer;
    this.#send(response, 200, JSON.stringify(sent));
  }

  async #do({ path, body }: Asked): Promise<unknown> {
    if (path === '/v1/completions') return this.#complete(body as unknown as Body);
    if (path === '/reset_prefix_cache') return {};
    if (path === '/update_weights_from_disk') {
      await this.#load(String(body.model_path));
      return { success: true, message: 'done' };
    }
    const { method, kwargs } = body as { method?: string; kwargs?: { weights_path?: string } };
    if (path !== '/collective_rpc' || method !== 'reload_weights') return undefined;
    await this.#load(kwargs!.weights_path!);
    return { results: [null] };
  }

  async #complete({ prompt, n, temperature, seed, ...body }: Body): Promise<Answer> {
    const stop = body.stop_token_ids;
    const sampled = await this.#policy.sample({
      prompts: [prompt],
      completions: n,
      maxNewTokens: body.max_tokens,
      temperature,
      stop,
      seed,
    });
    return {
      choices: sampled.map(({ ids, logprobs, ended }, index) => ({
        index,
        finish_reason: ended ? 'stop' : 'length',
        stop_reason: ended ? ids.at(-1)! : null,
        token_ids: ids,
        prompt_token_ids: prompt,
        logprobs: { tokens: ids.map((id) => `token_id:${id}`), token_logprobs: [...logprobs] },
      })),
    };
  }

  async #load(model: string): Promise<void> {
    const policy = await Engine.open({ model, threads: 1 });
    await this.#policy.dispose();
    this.#policy = policy;
  }

  #send(response: ServerResponse, status: number, text: string): void {
    if (response.destroyed) return;
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(text);
  }
}
