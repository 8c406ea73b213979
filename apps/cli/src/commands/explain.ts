import type { Command } from '@commander-js/extra-typings';
import { quoted } from '../config/entry.js';
import type { Context } from '../context.js';
import { UsageError } from '../exit.js';
import { type Metric, metricNamed, nearestMetrics, topics } from '../metrics/index.js';
import { table, wrap } from '../print.js';

export function addExplain(program: Command, { terminal }: Context): void {
  program
    .command('explain')
    .summary('what a number that runs log means')
    .description(
      'Tells of a metric what it is, its unit, what it is in a run that goes well, and how it looks in one that does not. Without a name: lists all.',
    )
    .argument('[metric]', 'as it stands in metrics.jsonl or timing.jsonl')
    .option('--json', 'as JSON')
    .addHelpText('after', '\nExamples:\n  kelpie explain divergence/kl_exact\n  kelpie explain explained_variance')
    .action((name, { json }) => {
      if (name === undefined) {
        terminal.print(json ? JSON.stringify(topics, null, 2) : overview());
        return;
      }
      const metric = metricNamed(name);
      if (metric === undefined) {
        throw new UsageError(
          `no run logs \`${name}\`; nearest: ${quoted(nearestMetrics(name))} (\`kelpie explain\` lists all)`,
        );
      }
      terminal.print(json ? JSON.stringify(metric, null, 2) : inFull(name, metric));
    });

  function overview(): string {
    const { width, color } = terminal;
    const parts = Object.entries(topics).map(([topic, metrics]) => {
      const rows = metrics.map(({ name, definition }) => [name, definition]);
      return `${color.bold(topic)}\n${table([{ title: 'metric' }, { title: '' }], rows, { width, color })}`;
    });
    const more =
      'One in full: kelpie explain METRIC. Held-out rows are measured under the same names with `eval_` in front.';
    return [...parts, color.dim(more)].join('\n\n');
  }

  function inFull(called: string, { definition, unit, healthy, failure }: Metric): string {
    const { width, color } = terminal;
    const heldOut = called.startsWith('eval_') ? 'On held-out rows or prompts. ' : '';
    const facts = { unit, 'goes well': healthy, 'goes wrong': failure };
    const label = 12;
    const lines = Object.entries(facts).map(
      ([title, text]) => `${color.dim(title.padEnd(label))}${wrap(text, width - label, ' '.repeat(label))}`,
    );
    return [color.bold(called), wrap(heldOut + definition, width), '', ...lines].join('\n');
  }
}
