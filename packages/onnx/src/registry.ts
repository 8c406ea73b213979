import type { Op } from './op.js';
import * as all from './ops/index.js';

const table = new Map<string, Op>(
  Object.values(all as Record<string, Op>).map((op) => [key(op.opType, op.domain), op]),
);

function key(opType: string, domain: string): string {
  return `${domain === 'ai.onnx' ? '' : domain}:${opType}`;
}

/** Every operator that has a file in ops/. */
export const ops = {
  get: (opType: string, domain = ''): Op | undefined => table.get(key(opType, domain)),
  all: (): Op[] => [...table.values()],
};
