import type { Change, Verdict } from '@kelpie/runner';
import { figure, many, percent, signed, type Terminal, table, wrap } from './print.js';

interface Measure {
  readonly label: string;
  readonly of: (verdict: Verdict) => Change | undefined;
  readonly text: (value: number) => string;
  /** Nothing to compare with before the first step: policy and reference are one. */
  readonly onlyAfter?: boolean;
  /** A distance from the start, which random weights are not worth. */
  readonly fromStart?: boolean;
}

const measures: readonly Measure[] = [
  { label: 'held-out loss', of: ({ loss }) => loss, text: (value) => figure(value) },
  { label: 'held-out reward', of: ({ reward }) => reward, text: (value) => figure(value) },
  { label: 'held-out reward accuracy', of: ({ accuracy }) => accuracy, text: percent, onlyAfter: true },
  { label: 'held-out reward margin', of: ({ margin }) => margin, text: (value) => signed(value), onlyAfter: true },
  {
    label: 'held-out calibration error',
    of: ({ calibration }) => calibration,
    text: (value) => value.toFixed(3),
  },
  {
    label: 'divergence KL(policy ‖ start), nats a completion',
    of: ({ klExact }) => klExact,
    text: (value) => figure(value),
    onlyAfter: true,
    fromStart: true,
  },
  {
    label: 'length of a completion, tokens',
    of: ({ completionTokens }) => completionTokens,
    text: (value) => value.toFixed(1),
  },
];

/** What a run has done: a few numbers, and the same prompts completed before and after. */
export function verdictText(
  verdict: Verdict,
  terminal: Terminal,
  { divergence }: { readonly divergence: boolean },
): string {
  const { width, color } = terminal;
  // What judges has no reference that it starts as.
  const judges = verdict.calibration !== undefined;
  const rows = measures.flatMap(({ label, of, text, onlyAfter, fromStart }) => {
    const change = of(verdict);
    return change === undefined || (fromStart && !divergence)
      ? []
      : [[label, onlyAfter && !judges ? '' : text(change.before), text(change.after)]];
  });
  const columns = [
    { title: `after ${many(verdict.steps, 'step')}` },
    { title: 'before', align: 'right' as const },
    { title: 'after', align: 'right' as const },
  ];
  const watched = Object.entries(verdict.watched ?? {}).map(([name, { before, after }]) => [
    `held-out ${name}`,
    figure(before),
    figure(after),
  ]);
  const samples = verdict.samples.map(({ prompt, before, after }) => {
    const line = (label: string, text: string) =>
      `  ${color.dim(label.padEnd(8))}${wrap(text.trim(), width - 10, ' '.repeat(10))}`;
    return [
      color.bold(wrap(prompt || '(from the beginning)', width)),
      line('before', before),
      line('after', after),
    ].join('\n');
  });
  const all = [...rows, ...watched];
  return [
    ...rewardLine(verdict, terminal),
    ...(all.length > 0 ? [table(columns, all, { width, color })] : []),
    ...samples,
  ].join('\n\n');
}

/** What was gained in units of how much rewards vary before training, and what it cost. */
function rewardLine({ reward, rewardDeviation, klExact }: Verdict, { color }: Terminal): string[] {
  if (reward === undefined) return [];
  const unit = rewardDeviation?.before ?? 0;
  const gain = unit > 0 ? ` (${signed((reward.after - reward.before) / unit, 1)} reference sd)` : '';
  const cost = klExact === undefined ? '' : ` at KL ${figure(klExact.after)} nats`;
  const text = `reward ${figure(reward.before)} -> ${figure(reward.after)}${gain}${cost}`;
  return [color.bold(text)];
}
