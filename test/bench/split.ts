import { Engine, type OpenOptions } from '@kelpie/policy';
import { percent } from './figures.js';
import { SessionWatch, sessionParts } from './sessions.js';
import { table } from './table.js';

/** Milliseconds of some steps by what they went into; `total` is the whole. */
export interface Split {
  readonly total: number;
  readonly parts: Readonly<Record<string, number>>;
}

/** A policy in this thread whose time is taken apart. */
export class Taken {
  readonly watch: SessionWatch;
  #optimizer = 0;
  #started = performance.now();

  constructor(profileFolder?: string) {
    this.watch = new SessionWatch(profileFolder);
  }

  async open(options: OpenOptions): Promise<Engine> {
    const engine = await Engine.open(options);
    const step = engine.step.bind(engine);
    engine.step = async (learningRate) => {
      const started = performance.now();
      this.watch.paused = true;
      try {
        return await step(learningRate);
      } finally {
        this.watch.paused = false;
        this.#optimizer += performance.now() - started;
      }
    };
    return engine;
  }

  /** When what counts begins, as `performance.now()`. */
  get started(): number {
    return this.#started;
  }

  /** From here on it counts. */
  begin(): void {
    this.watch.reset();
    this.#optimizer = 0;
    this.#started = performance.now();
  }

  split(): Split {
    const total = performance.now() - this.#started;
    const { spent, making } = this.watch;
    const sessions = sessionParts.flatMap((part) => (spent.has(part) ? [[part, spent.get(part)!] as const] : []));
    const named = [...sessions, ['optimizer', this.#optimizer] as const, ['sessions made', making] as const];
    const rest = total - named.reduce((sum, [, ms]) => sum + ms, 0);
    return { total, parts: Object.fromEntries([...named, ['rest', rest]]) };
  }
}

export function splitTable({ total, parts }: Split, steps: number): string {
  const rows = Object.entries(parts).map(([part, ms]) => [part, (ms / steps).toFixed(1), percent(ms / total)]);
  return table(['part of a step', 'ms', 'share'], [...rows, ['whole', (total / steps).toFixed(1), percent(1)]]);
}
