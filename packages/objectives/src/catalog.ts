import { nearest, ObjectiveError } from './errors.js';
import type { Objective } from './objective.js';
import * as all from './objectives/index.js';

/** Every objective by name. */
export const objectives: Readonly<Record<string, Objective>> = Object.fromEntries(
  (Object.values(all) as Objective[]).map((objective) => [objective.name, objective]),
);

/** The objective of a name; unknown, an `ObjectiveError` with the nearest ones. */
export function getObjective(name: string): Objective {
  if (Object.hasOwn(objectives, name)) return objectives[name]!;
  const near = nearest(name, Object.keys(objectives)).map((known) => `\`${known}\``);
  throw new ObjectiveError([
    {
      code: 'unknown-objective',
      where: { objective: name },
      expected: 'the name of an objective',
      received: `\`${name}\``,
      hint: `Did you mean ${near.join(', ')}?`,
    },
  ]);
}

/** A Markdown table of objectives, for READMEs and docs. */
export function objectivesTable(list: readonly Objective[] = Object.values(objectives)): string {
  const rows = list.map((objective) => {
    const options = objective.describeOptions().map(({ name, default: value }) => `\`${name}\` ${value}`);
    const { policy, reference } = objective.needs;
    const needs = [...policy, ...reference.map((score) => `reference ${score}`)].join(', ');
    const { name, title, rows: kind, paper } = objective;
    return [`\`${name}\``, title, kind, needs, options.join(', '), paper];
  });
  const head = ['name', 'objective', 'rows', 'needs', 'options and defaults', 'paper'];
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}
