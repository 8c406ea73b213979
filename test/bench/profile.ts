import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { figure, percent } from './figures.js';
import type { WatchedSession } from './sessions.js';
import { table } from './table.js';

/** All runs of one operator type in the sessions of one part. */
export interface OperatorTime {
  readonly part: string;
  readonly operator: string;
  readonly calls: number;
  readonly ms: number;
  /** Floating-point operations, of matrix products alone. */
  readonly flops: number;
}

type Shapes = readonly Readonly<Record<string, readonly number[]>>[];

interface ProfileEvent {
  readonly cat?: string;
  readonly name?: string;
  /** Microseconds; `ts` since the profile began, which was somewhere within the making of the session. */
  readonly ts: number;
  readonly dur: number;
  readonly args?: {
    readonly op_name?: string;
    readonly input_type_shape?: Shapes;
    readonly output_type_shape?: Shapes;
  };
}

const products = ['MatMul', 'FusedMatMul', 'Gemm'];

/** Ends the profiles that a watch began in `folder` and adds them up, leaving out what ran before `from`. */
export function readProfiles(
  sessions: readonly WatchedSession[],
  { folder, from }: { readonly folder: string; readonly from: number },
): OperatorTime[] {
  for (const { native } of sessions) native.endProfiling();
  const times = new Map<string, OperatorTime>();
  for (const [i, { part, madeAt }] of sessions.entries()) {
    const file = readdirSync(folder).find((name) => name.startsWith(`${i}_`));
    if (file === undefined) continue;
    const events = JSON.parse(readFileSync(join(folder, file), 'utf8')) as readonly ProfileEvent[];
    const made = events.find(({ name }) => name === 'session_initialization');
    const began = madeAt - ((made?.ts ?? 0) + (made?.dur ?? 0)) / 1000;
    for (const { cat, name, ts, dur, args } of events) {
      if (cat !== 'Node' || !name?.endsWith('_kernel_time') || began + ts / 1000 < from) continue;
      const operator = args?.op_name ?? 'unknown';
      // Its turns' nodes are listed as well.
      if (operator === 'Loop') continue;
      const key = `${part}/${operator}`;
      const { calls, ms, flops } = times.get(key) ?? { calls: 0, ms: 0, flops: 0 };
      const more = products.includes(operator) ? flopsOf(args) : 0;
      times.set(key, { part, operator, calls: calls + 1, ms: ms + dur / 1000, flops: flops + more });
    }
  }
  return [...times.values()].sort((a, b) => b.ms - a.ms);
}

/** 2 m n k: the output is [..., m, n], and the second operand's last two sizes are k and n in some order. */
function flopsOf(args: ProfileEvent['args']): number {
  const [, right] = args?.input_type_shape ?? [];
  const [out] = args?.output_type_shape ?? [];
  const [b, y] = [Object.values(right ?? {})[0], Object.values(out ?? {})[0]];
  if (b === undefined || y === undefined || b.length < 2) return 0;
  const k = (b.at(-1)! * b.at(-2)!) / y.at(-1)!;
  return 2 * k * y.reduce((size, n) => size * n, 1);
}

/** The operators that take longest, with the rate of matrix products. */
export function profileTable(times: readonly OperatorTime[], steps: number, most = 25): string {
  const total = times.reduce((sum, { ms }) => sum + ms, 0);
  const shown = times.slice(0, most);
  const rows = shown.map(({ part, operator, calls, ms, flops }) => [
    `${part}: ${operator}`,
    figure(calls / steps),
    (ms / steps).toFixed(1),
    percent(ms / total),
    flops > 0 ? figure(flops / ms / 1e6) : '',
  ]);
  const others = total - shown.reduce((sum, { ms }) => sum + ms, 0);
  if (others > 0)
    rows.push([`${times.length - shown.length} others`, '', (others / steps).toFixed(1), percent(others / total), '']);
  return table(['operators, a step', 'calls', 'ms', 'share', 'GFLOP/s'], rows);
}

/** Share of operator time that is matrix products. */
export function productShare(times: readonly OperatorTime[]): number {
  const sum = (all: readonly OperatorTime[]) => all.reduce((total, { ms }) => total + ms, 0);
  return sum(times.filter(({ operator }) => products.includes(operator))) / sum(times);
}
