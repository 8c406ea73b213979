import type { Command } from '@commander-js/extra-typings';
import { jsonSchema } from '../config/schema.js';
import type { Context } from '../context.js';

export function addConfig(program: Command, { terminal }: Context): void {
  const config = program
    .command('config')
    .summary('what a config file may hold')
    .description('Tells what a config file may hold.')
    .helpCommand(false);
  config
    .command('schema')
    .summary('the JSON Schema of config files, for editors')
    .description('Prints the JSON Schema of config files. Editors complete and check with it.')
    .action(() => terminal.print(schemaText()));
}

/** As it is committed: `docs/config.schema.json`. Short lists stand on one line, as the formatter has them. */
export function schemaText(): string {
  const text = JSON.stringify(jsonSchema(), null, 2);
  return text.replaceAll(
    /^( *)(.*)\[\n([^[\]{}]*)\n *\](,?)$/gm,
    (whole, indent: string, head: string, list: string, end: string) => {
      const line = `${indent}${head}[${list.trim().replaceAll(/\n */g, ' ')}]${end}`;
      return line.length <= 120 ? line : whole;
    },
  );
}
