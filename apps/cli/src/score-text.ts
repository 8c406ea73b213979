import type { PreferenceExample, TextExample } from '@kelpie/data';
import { type Column, figure, percent, signed, type Terminal, table } from './print.js';

export type Example = PreferenceExample | TextExample;

/** Numbers of one completion, in nats. */
export interface Scored {
  readonly sequenceLogprob: number;
  readonly averageLogprob: number;
  readonly tokens: number;
  /** With a reference: beta times the logratio, and the sum over positions of KL(policy ‖ reference). */
  readonly implicitReward?: number;
  readonly reverseKl?: number;
  /** Each token's text and log-probability. */
  readonly perToken?: readonly { readonly text: string; readonly logprob: number }[];
}

/** A row with a side for each of its completions. */
export interface ScoredRow {
  readonly example: Example;
  readonly sides: readonly Scored[];
}

type Pair = readonly [chosen: Scored, rejected: Scored];
type Measure<Of> = Column & { readonly of: (scored: Of) => string };

export const isPair = (example: Example): example is PreferenceExample => 'chosen' in example;

const ofTexts: readonly Measure<Scored>[] = [
  { title: 'log-prob', of: ({ sequenceLogprob }) => sequenceLogprob.toFixed(2) },
  { title: 'a token', of: ({ averageLogprob }) => averageLogprob.toFixed(3) },
  { title: 'tokens', of: ({ tokens }) => String(tokens) },
];
const ofTextsToReference: readonly Measure<Scored>[] = [
  { title: 'reward', of: ({ implicitReward = 0 }) => gain(implicitReward) },
  { title: 'KL', of: ({ reverseKl = 0 }) => reverseKl.toFixed(2) },
];
const ofPairs: readonly Measure<Pair>[] = [
  { title: 'chosen', of: ([chosen]) => chosen.sequenceLogprob.toFixed(2) },
  { title: 'rejected', of: ([, rejected]) => rejected.sequenceLogprob.toFixed(2) },
  { title: 'margin', of: (pair) => gain(margin(pair)) },
];
const ofPairsToReference: readonly Measure<Pair>[] = [
  { title: 'reward margin', of: (pair) => gain(rewardMargin(pair)) },
];

/** Scores for people: a row a line, and what they come to. */
export function scoreText(rows: readonly ScoredRow[], terminal: Terminal): string {
  const pairs = rows.every(({ example }) => isPair(example));
  return [...(pairs ? pairLines(rows, terminal) : textLines(rows, terminal)), ...tokenLines(rows, terminal)].join('\n');
}

function textLines(rows: readonly ScoredRow[], terminal: Terminal): string[] {
  const scored = rows.map(({ sides }) => sides[0]!);
  const compared = scored[0]?.implicitReward !== undefined;
  const labels = rows.map(({ example }) => (isPair(example) ? example.chosen : example.completion));
  const all = total(scored.map(({ sequenceLogprob }) => sequenceLogprob));
  const facts = [
    `${rows.length} rows`,
    `mean log-probability ${figure(all / rows.length)}`,
    `a token ${figure(all / total(scored.map(({ tokens }) => tokens)))}`,
    ...(compared ? [`KL ${figure(mean(scored.map(({ reverseKl = 0 }) => reverseKl)))} nats a completion`] : []),
  ];
  const measures = compared ? [...ofTexts, ...ofTextsToReference] : ofTexts;
  return [listed(measures, scored, { title: 'completion', labels }, terminal), '', facts.join(', ')];
}

function pairLines(rows: readonly ScoredRow[], terminal: Terminal): string[] {
  const scored = rows.map(({ sides }): Pair => [sides[0]!, sides[1]!]);
  const compared = scored[0]?.[0].implicitReward !== undefined;
  const labels = rows.map(({ example }) => example.prompt);
  const lines = [
    `${rows.length} pairs: chosen likelier in ${above(scored.map(margin))}, mean margin ${signed(mean(scored.map(margin)))}`,
  ];
  if (compared) {
    const margins = scored.map(rewardMargin);
    const kl = mean(scored.flat().map(({ reverseKl = 0 }) => reverseKl));
    lines.push(
      `against the reference: reward accuracy ${above(margins)}, mean margin ${signed(mean(margins))}, KL ${figure(kl)} nats a completion`,
    );
  }
  const measures = compared ? [...ofPairs, ...ofPairsToReference] : ofPairs;
  return [listed(measures, scored, { title: 'prompt', labels }, terminal), '', ...lines];
}

/** Numbers to the right, and of each row's text as much as there is room for. */
function listed<Of>(
  measures: readonly Measure<Of>[],
  scored: readonly Of[],
  { title, labels }: { readonly title: string; readonly labels: readonly string[] },
  { width, color }: Terminal,
): string {
  const numbers = scored.map((one) => measures.map(({ of }) => of(one)));
  const taken = measures.reduce(
    (sum, { title }, c) => sum + 2 + Math.max(title.length, ...numbers.map((row) => row[c]!.length)),
    0,
  );
  const columns = [...measures.map(({ title }) => ({ title, align: 'right' as const })), { title }];
  const room = Math.max(20, width - taken);
  return table(
    columns,
    numbers.map((row, i) => [...row, shortened(labels[i]!, room)]),
    { width, color },
  );
}

function tokenLines(rows: readonly ScoredRow[], { color }: Terminal): string[] {
  return rows.flatMap(({ example, sides }) =>
    sides.flatMap(({ perToken }, side) => {
      if (perToken === undefined) return [];
      const label = isPair(example) ? ` ${['chosen', 'rejected'][side]}` : '';
      const lines = perToken.map(({ text, logprob }) => `${logprob.toFixed(3).padStart(8)}  ${JSON.stringify(text)}`);
      return ['', color.bold(`${example.id}${label}`), ...lines];
    }),
  );
}

const margin = ([chosen, rejected]: Pair) => chosen.sequenceLogprob - rejected.sequenceLogprob;
const rewardMargin = ([chosen, rejected]: Pair) => (chosen.implicitReward ?? 0) - (rejected.implicitReward ?? 0);

const gain = (value: number) => `${value < 0 ? '' : '+'}${value.toFixed(2)}`;
const total = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);
const mean = (values: readonly number[]) => total(values) / values.length;
const above = (values: readonly number[]) => percent(values.filter((value) => value > 0).length / values.length);

function shortened(text: string, room: number): string {
  const line = text.trim().replace(/\s+/g, ' ');
  return line.length > room ? `${line.slice(0, room - 1)}…` : line;
}
