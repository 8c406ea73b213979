import type { EventOf, Logger, RunEvent } from '../events.js';

export interface MemoryLogger extends Logger {
  readonly events: RunEvent[];
  of<Type extends RunEvent['type']>(type: Type): EventOf<Type>[];
}

/** Keeps every event, for tests and for those who draw them at once. */
export function memory(): MemoryLogger {
  const events: RunEvent[] = [];
  return {
    name: 'memory',
    events,
    of: <Type extends RunEvent['type']>(type: Type) =>
      events.filter((event): event is EventOf<Type> => event.type === type),
    log(event) {
      events.push(event);
    },
  };
}
