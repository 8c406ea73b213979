import type { Command } from '@commander-js/extra-typings';
import { getObjective, type Objective, objectives } from '@kelpie/objectives';
import type { Context } from '../context.js';
import { kebab } from '../flags.js';
import { table, wrap } from '../print.js';

export function addObjectives(program: Command, { terminal }: Context): void {
  program
    .command('objectives')
    .summary('list what can be optimised, or show one in full')
    .description('Lists the objectives with what they need and their options, or shows one in full.')
    .argument('[name]', 'an objective')
    .option('--json', 'as JSON')
    .action((name, { json }) => {
      if (name === undefined) {
        const all = Object.values(objectives);
        terminal.print(json ? JSON.stringify(all.map(describe), null, 2) : overview(all));
        return;
      }
      const objective = getObjective(name);
      terminal.print(json ? JSON.stringify(describe(objective), null, 2) : inFull(objective));
    });

  function overview(all: readonly Objective[]): string {
    const { width, color } = terminal;
    const rows = all.map((objective) => [
      objective.name,
      rowsOf(objective),
      objective.needs.reference.length > 0 ? 'yes' : 'no',
      objective
        .describeOptions()
        .map(({ name, default: preset }) => `${name} ${preset}`)
        .join(', ') || '-',
    ]);
    const columns = [{ title: 'name' }, { title: 'rows' }, { title: 'reference' }, { title: 'options and defaults' }];
    return `${table(columns, rows, { width, color })}\n\n${color.dim('One in full, with its paper: kelpie objectives NAME. To train with it: kelpie train NAME --help')}`;
  }

  function inFull(objective: Objective): string {
    const { width, color } = terminal;
    const { name, title, summary, paper, needs, separable } = objective;
    const facts = [
      ['paper', paper],
      ['rows', rowsOf(objective)],
      ['policy scores', needs.policy.join(', ')],
      ['reference scores', needs.reference.join(', ') || 'none'],
      ['micro-batches', separable ? 'a step may be split' : 'a step is seen as a whole'],
    ] as const;
    const options = objective.describeOptions();
    const list = table(
      [{ title: 'option' }, { title: 'default' }, { title: 'allowed' }, { title: '' }],
      options.map((option) => [
        `--${kebab(option.name)}`,
        String(option.default),
        option.range || option.type,
        option.description,
      ]),
      { width, color },
    );
    return [
      `${color.bold(name)}  ${title}`,
      wrap(summary, width),
      '',
      ...facts.map(([label, value]) => `${color.dim(label.padEnd(18))}${value}`),
      ...(options.length > 0 ? ['', list] : []),
    ].join('\n');
  }
}

const rowKinds = { single: 'text', pairs: 'pairs', unpaired: 'labelled', groups: 'groups' } as const;

function rowsOf({ rows }: Objective): string {
  return rowKinds[rows];
}

/** An objective as data. */
function describe(objective: Objective) {
  const { name, title, summary, paper, rows, separable, needs, defaults } = objective;
  return { name, title, summary, paper, rows, separable, needs, defaults, options: objective.describeOptions() };
}
