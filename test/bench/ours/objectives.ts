import {
  type Needs,
  type Objective,
  ObjectiveError,
  type ObjectiveInput,
  objectives,
  type ScoredBatch,
} from '@kelpie/objectives';
import { randomInput, seeded } from '@kelpie/objectives/testing';
import { median } from '../figures.js';
import { answer, given } from '../processes.js';

export interface ObjectivesInput {
  readonly rows: number;
  readonly tokens: number;
  readonly repeats: number;
  /** Names; empty: every objective there is. */
  readonly only: readonly string[];
}

export interface Timed {
  readonly name: string;
  /** What differs from the defaults, as text. */
  readonly options: string;
  readonly ms: number;
}

export interface ObjectivesOutput {
  /** Of each objective: its defaults first, then each other choice of each option. */
  readonly timed: readonly Timed[];
}

const warmUp = 2;
const groupSize = 8;

/** `evaluate` with its checks of input and result, on rows of which every token counts. */
function run({ rows, tokens, repeats, only }: ObjectivesInput): void {
  const asked = Object.values(objectives).filter(({ name }) => only.length === 0 || only.includes(name));
  const drawn = new Map<string, ObjectiveInput>();
  const timed = asked.flatMap((objective) =>
    settingsOf(objective).map((options): Timed => {
      const needs = objective.needsOf(options);
      const key = JSON.stringify(needs);
      const input = drawn.get(key) ?? wholeRows(needs, rows, tokens);
      drawn.set(key, input);
      const times = Array.from({ length: warmUp + repeats }, () => {
        const started = performance.now();
        objective.evaluate(input, options);
        return performance.now() - started;
      });
      const told = Object.entries(options).map(([name, value]) => `${name} ${value}`);
      return { name: objective.name, options: told.join(', '), ms: median(times.slice(warmUp)) };
    }),
  );
  answer({ timed } satisfies ObjectivesOutput);
}

/** No options, then each choice that is not the default and goes with the defaults of the other options. */
function settingsOf(objective: Objective): Record<string, unknown>[] {
  const others = objective.describeOptions().flatMap(({ name, type, values = [], default: preset }) => {
    const choices: readonly unknown[] = type === 'boolean' ? [false, true] : values;
    return choices.filter((value) => value !== preset).map((value) => ({ [name]: value }));
  });
  return [{}, ...others.filter((options) => isValid(objective, options))];
}

function isValid(objective: Objective, options: Readonly<Record<string, unknown>>): boolean {
  try {
    objective.resolveOptions(options);
    return true;
  } catch (error) {
    if (error instanceof ObjectiveError) return false;
    throw error;
  }
}

/** Random rows without padding, in groups of eight where there are groups. */
function wholeRows(needs: Needs, rows: number, tokens: number): ObjectiveInput {
  const random = seeded(1);
  const draw = () => randomInput({ rows: 'single' }, needs, random, { units: rows, tokens });
  const completionMask = new Uint8Array(rows * tokens).fill(1);
  const input = draw();
  const batch = (): ScoredBatch => {
    const { policy, reference = {} } = draw();
    return { rows, tokens, completionMask, policy, reference };
  };
  const places = Int32Array.from({ length: rows }, (_, row) => row % groupSize);
  return {
    ...input,
    completionMask,
    perRow: {
      ...input.perRow,
      groups: places.map((_, row) => Math.floor(row / groupSize)),
      ranks: places,
      // Half of a group, as many chosen as rejected.
      external: Uint8Array.from(places, (place) => (2 * place < groupSize ? 1 : 0)),
    },
    batches: Object.fromEntries((needs.batches ?? []).map((name) => [name, batch()])),
  };
}

run(given<ObjectivesInput>());
