import { MAX_LEVELS } from '@kelpie/policy';

const isHolder = (value: unknown): value is object => typeof value === 'object' && value !== null;

/** Whether a value has more than `MAX_LEVELS` levels. Goes level by level, so none is too deep for it; a cycle has no end. */
export function nestsTooDeep(value: unknown): boolean {
  let level = new Set([value].filter(isHolder));
  for (let depth = 0; depth < MAX_LEVELS && level.size > 0; depth++)
    level = new Set([...level].flatMap((holder) => Object.values(holder).filter(isHolder)));
  return level.size > 0;
}
