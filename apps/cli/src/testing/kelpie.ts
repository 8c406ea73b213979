import { run } from '../main.js';
import type { Io } from '../print.js';

export interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly err: string;
  /** Both streams, as a terminal shows them. */
  readonly text: string;
}

export interface Watching {
  /** Sees every text on either stream; may press Ctrl-C. */
  readonly onText?: (text: string, interrupt: () => void) => void;
  readonly env?: Io['env'];
  readonly tty?: boolean;
  readonly columns?: number;
}

/** The command in this process, with what a user would see. */
export async function inProcess(
  argv: readonly string[],
  { onText, env = {}, tty = false, columns = 100 }: Watching = {},
): Promise<Outcome> {
  const text = { out: '', err: '', text: '' };
  const handlers = new Set<() => void>();
  const interrupt = () => {
    for (const handler of handlers) handler();
  };
  const stream = (name: 'out' | 'err') => ({
    isTTY: tty,
    columns,
    write(chunk: string) {
      text[name] += chunk;
      text.text += chunk;
      onText?.(chunk, interrupt);
    },
  });
  const code = await run(argv, {
    stdout: stream('out'),
    stderr: stream('err'),
    env,
    onInterrupt(handler) {
      handlers.add(handler);
      return () => handlers.delete(handler);
    },
    exit: (status) => {
      throw new Error(`exit ${status}`);
    },
  });
  return { code, ...text };
}
