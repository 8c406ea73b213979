import type { RolloutRecord } from '@kelpie/runner';
import { isRecord, type JsonRow, jsonRows, numberIn, stepIn, textIn } from './lines.js';

/** What is shown of a completion. */
export type Shown = Pick<RolloutRecord, 'step' | 'prompt' | 'completion' | 'reward' | 'rewards' | 'watched'>;

export interface RolloutSummary {
  readonly count: number;
  /** Of different prompts, in the first step and in the last. */
  readonly first: readonly Shown[];
  readonly last: readonly Shown[];
  /** Of all, the same completion of a prompt once. */
  readonly best: readonly Shown[];
  readonly worst: readonly Shown[];
}

const KEPT = 3;

/** Goes through `rollouts.jsonl` once and keeps a few rows, however many there are. */
export async function readRollouts(file: string, onCut: (place: string) => void): Promise<RolloutSummary> {
  let count = 0;
  let [first, last, best, worst]: Shown[][] = [[], [], [], []];
  for await (const row of jsonRows(file, onCut)) {
    const shown = shownOf(row);
    count++;
    if (first!.length === 0 || first![0]!.step === shown.step) first = withPrompt(first!, shown);
    last = last!.length > 0 && last![0]!.step === shown.step ? withPrompt(last!, shown) : [shown];
    if (Number.isNaN(shown.reward)) continue;
    best = ranked(best!, shown, (a, b) => b.reward - a.reward);
    worst = ranked(worst!, shown, (a, b) => a.reward - b.reward);
  }
  return { count, first: first!, last: last!, best: best!, worst: worst! };
}

function shownOf(row: JsonRow): Shown {
  return {
    step: stepIn(row),
    prompt: textIn(row, 'prompt'),
    completion: textIn(row, 'completion'),
    reward: numberIn(row, 'reward'),
    rewards: numbersIn(row, 'rewards'),
    watched: numbersIn(row, 'watched'),
  };
}

function numbersIn({ row, place }: JsonRow, key: string): Record<string, number> {
  const table = row[key] ?? {};
  const inner = { row: isRecord(table) ? table : {}, place: `${place}: \`${key}\`` };
  return Object.fromEntries(Object.keys(inner.row).map((name) => [name, numberIn(inner, name)]));
}

function withPrompt(rows: readonly Shown[], shown: Shown): Shown[] {
  return rows.length < KEPT && rows.every(({ prompt }) => prompt !== shown.prompt) ? [...rows, shown] : [...rows];
}

/** The first of an order. Of equals the earlier stays. */
function ranked(rows: readonly Shown[], shown: Shown, order: (a: Shown, b: Shown) => number): Shown[] {
  const lowest = rows[KEPT - 1];
  if (lowest !== undefined && order(shown, lowest) >= 0) return [...rows];
  const again = rows.some((row) => row.completion === shown.completion && row.prompt === shown.prompt);
  return again ? [...rows] : [...rows, shown].sort(order).slice(0, KEPT);
}
