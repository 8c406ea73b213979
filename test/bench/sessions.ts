import { InferenceSession } from 'onnxruntime-node';

/** What a session of a policy is for, told by the names of its inputs and outputs. */
export const sessionParts = [
  'prefill',
  'decoding step',
  'body forward',
  'head scores',
  'head gradient',
  'body backward',
  'forward and backward at once',
  'body, nothing kept',
  'other graphs',
] as const;
export type SessionPart = (typeof sessionParts)[number];

export interface WatchedSession {
  readonly native: InferenceSession;
  readonly part: SessionPart;
  /** `performance.now()` when it was there. */
  readonly madeAt: number;
}

/** Times every session that this process makes from now on. */
export class SessionWatch {
  readonly sessions: WatchedSession[] = [];
  /** Milliseconds in `run`, and in making sessions. */
  readonly spent = new Map<SessionPart, number>();
  making = 0;
  /** Sessions that run while this is set are someone else's to count. */
  paused = false;

  /** @param profileFolder where ONNX Runtime writes a profile of each session, if it should. */
  constructor(profileFolder?: string) {
    const create = InferenceSession.create.bind(InferenceSession) as (...args: unknown[]) => Promise<InferenceSession>;
    const watched = async (...args: unknown[]) => {
      const started = performance.now();
      const options = args.at(-1) as InferenceSession.SessionOptions;
      const profile = profileFolder && {
        enableProfiling: true,
        profileFilePrefix: `${profileFolder}/${this.sessions.length}`,
      };
      const native = await create(...args.slice(0, -1), { ...options, ...profile });
      const madeAt = performance.now();
      this.#watch(native, madeAt);
      if (!this.paused) this.making += madeAt - started;
      return native;
    };
    Object.assign(InferenceSession, { create: watched });
  }

  /** Forgets what was spent so far. */
  reset(): void {
    this.spent.clear();
    this.making = 0;
  }

  #watch(native: InferenceSession, madeAt: number): void {
    const part = partOf(native);
    this.sessions.push({ native, part, madeAt });
    const run = native.run.bind(native) as (...args: unknown[]) => Promise<InferenceSession.OnnxValueMapType>;
    const timed = async (...args: unknown[]) => {
      const started = performance.now();
      // A run whose outputs are written in place ends in a refusal.
      try {
        return await run(...args);
      } finally {
        if (!this.paused) this.spent.set(part, (this.spent.get(part) ?? 0) + performance.now() - started);
      }
    };
    Object.assign(native, { run: timed });
  }
}

function partOf({ inputNames, outputNames }: InferenceSession): SessionPart {
  if (inputNames.includes('keys/0')) return 'decoding step';
  if (outputNames.includes('present/keys/0')) return 'prefill';
  if (inputNames.includes('places')) return 'forward and backward at once';
  if (outputNames.includes('grad/hidden')) return 'head gradient';
  if (inputNames.includes('d/hidden')) return 'body backward';
  if (inputNames.includes('targets')) return 'head scores';
  if (!inputNames.includes('ids')) return 'other graphs';
  return outputNames.some((name) => !['hidden', 'unreturned'].includes(name)) ? 'body forward' : 'body, nothing kept';
}
