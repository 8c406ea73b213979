import { readFileSync } from 'node:fs';
import { Command, type CommanderError } from '@commander-js/extra-typings';
import { nearestNames } from '@kelpie/policy';
import { addCertify } from './commands/certify.js';
import { addConfig } from './commands/config.js';
import { addData } from './commands/data.js';
import { addExplain } from './commands/explain.js';
import { addGenerate } from './commands/generate.js';
import { addObjectives } from './commands/objectives.js';
import { addReport } from './commands/report.js';
import { addScore } from './commands/score.js';
import { addTrain, objectiveInFile, withObjective } from './commands/train.js';
import { quoted } from './config/entry.js';
import { configReader } from './config/read.js';
import type { Context } from './context.js';
import type { CustomObjective } from './custom-objective.js';
import { exitCodes, report, UsageError } from './exit.js';
import { optionHelp } from './flags.js';
import { type Io, Terminal } from './print.js';

/** Runs one command line, without the program's name, and gives the exit code. */
export async function run(argv: readonly string[], io: Io): Promise<number> {
  const terminal = new Terminal(io);
  let code: number = exitCodes.done;
  const context: Context = {
    terminal,
    io,
    argv: argv.filter((argument) => argument !== '--debug'),
    readConfig: configReader(),
    leaveWith: (other) => {
      code = other;
    },
  };
  try {
    const line = withObjective(context.argv, context.readConfig);
    await programOf(context, await objectiveInFile(line)).parseAsync([...line], { from: 'user' });
    return code;
  } catch (error) {
    return report(error, terminal, { debug: argv.includes('--debug') });
  }
}

/** The streams, environment and signals of this process. */
export function processIo(): Io {
  for (const stream of [process.stdout, process.stderr]) {
    // A reader that has seen enough (`| head`) ends no training.
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error;
    });
  }
  return {
    stdout: process.stdout,
    stderr: process.stderr,
    env: process.env,
    onInterrupt(handler) {
      process.on('SIGINT', handler);
      return () => process.off('SIGINT', handler);
    },
    exit: (code) => {
      if (code !== exitCodes.interrupted) process.exit(code);
      // As the system ends what is interrupted, which shells tell as 130: a library that a thread is computing in is not
      // taken down first.
      process.removeAllListeners('SIGINT');
      process.kill(process.pid, 'SIGINT');
    },
  };
}

function programOf(context: Context, custom: CustomObjective | undefined): Command {
  const program = new Command('kelpie')
    .description('Preference-tunes language models on ONNX Runtime.')
    .version(version(), '--version', 'the version')
    .helpOption('-h, --help', 'this help')
    .helpCommand(false)
    .option('--debug', 'stacks of errors')
    .usage('<command> [options]')
    .addHelpText(
      'after',
      `
Examples:
  kelpie objectives
  kelpie certify dpo
  kelpie data check pairs.jsonl --model base
  kelpie train dpo --model base --data pairs.jsonl --out tuned
  kelpie train ppo --model base --prompts prompts.jsonl --reward reward-model:path=judge --out tuned
  kelpie train --config run.yaml --set training.epochs=2 --dry-run
  kelpie explain divergence/kl_exact
  kelpie generate --model tuned/model --prompt "My review:"
  kelpie score --model tuned/model --reference base --data heldout.jsonl
  kelpie report tuned

${'`kelpie COMMAND --help` tells more; `kelpie train OBJECTIVE --help` has the options of one objective.'}`,
    ) as unknown as Command;
  addData(program, context);
  addTrain(program, context, custom);
  addGenerate(program, context);
  addScore(program, context);
  addReport(program, context);
  addExplain(program, context);
  addObjectives(program, context);
  addCertify(program, context);
  addConfig(program, context);
  for (const command of commandsIn(program)) prepare(command, context);
  return program;
}

function* commandsIn(command: Command): Generator<Command> {
  yield command;
  for (const inner of command.commands) yield* commandsIn(inner as Command);
}

/** Output through the terminal, complaints as errors of ours with the nearest names there are. */
function prepare(command: Command, { terminal }: Context): void {
  const { color } = terminal;
  command.configureOutput({
    writeOut: (text) => terminal.raw(text),
    writeErr: (text) => terminal.raw(text, 'stderr'),
    outputError: () => {},
    getOutHelpWidth: () => terminal.width,
    getErrHelpWidth: () => terminal.width,
    getOutHasColors: () => color.isColorSupported,
    getErrHasColors: () => terminal.noteColor.isColorSupported,
  });
  command.configureHelp({
    optionDescription: (option) => optionHelp(option),
    styleTitle: (text) => color.bold(text),
    styleOptionTerm: (text) => color.cyan(text),
    styleSubcommandTerm: (text) => color.cyan(text),
  });
  if (command.parent !== null) command.helpOption('-h, --help', 'this help');
  command.showSuggestionAfterError(false);
  command.exitOverride((error) => {
    if (error.exitCode === 0 || error.code === 'commander.help') throw error;
    throw new UsageError(complaint(error, command));
  });
}

function complaint({ code, message }: CommanderError, command: Command): string {
  const text = message.replace(/^error: /, '').replaceAll(/'(-[^']*|\S+)'/g, '`$1`');
  const help = `\`${pathOf(command)} --help\` lists them`;
  const unknown = /`([^`]+)`/.exec(text)?.[1] ?? '';
  if (code === 'commander.unknownOption') {
    const flags = command.options.flatMap(({ long, hidden }) => (long == null || hidden ? [] : [long]));
    return `${text}${nearest(nearestNames(unknown.replace(/=.*/, ''), flags))} (${help})`;
  }
  if (code === 'commander.unknownCommand') {
    const names = command.commands.map((inner) => inner.name());
    const kind = command.name() === 'train' ? 'objective' : 'command';
    return `unknown ${kind} \`${unknown}\`${nearest(nearestNames(unknown, names))} (${help})`;
  }
  return `${text} (\`${pathOf(command)} --help\`)`;
}

const nearest = (names: readonly string[]) => (names.length === 0 ? '' : `; nearest: ${quoted(names)}`);

function pathOf(command: Command): string {
  return command.parent === null ? command.name() : `${pathOf(command.parent as Command)} ${command.name()}`;
}

function version(): string {
  return (JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }).version;
}
