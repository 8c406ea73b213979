import { type Command, Option } from '@commander-js/extra-typings';
import { getObjective, type Objective, objectives } from '@kelpie/objectives';
import {
  type Certificate,
  type CertifyOptions,
  certify,
  certifyDefaults,
  checkNames,
  type TheoryCheck,
  theoryChecks,
} from '@kelpie/objectives/certify';
import type { Context } from '../context.js';
import { isObjectiveFile, loadObjective } from '../custom-objective.js';
import { exitCodes } from '../exit.js';
import { countFlag } from '../flags.js';
import { duration, type Terminal, table } from '../print.js';

interface Flags extends CertifyOptions {
  readonly json?: boolean;
}

export function addCertify(program: Command, context: Context): void {
  const command = program
    .command('certify')
    .summary('prove an objective: gradient, estimator, fixed point, invariances, extremes')
    .description(
      'Holds objectives to what they promise, on a language model small enough to list everything it can write: the gradient by finite differences, the expected gradient by enumeration, the point it comes to rest at against the closed-form optimum, invariances, extreme ratios. Leaves with 1 if something does not hold.',
    )
    .argument('<what...>', 'names of objectives, `all`, or files with one of your own')
    .addHelpText(
      'after',
      `
Examples:
  kelpie certify dpo
  kelpie certify all --json > certificates.json
  kelpie certify ./mine.ts --trials 20`,
    );
  const { seed, vocabulary, length, trials } = certifyDefaults;
  const flags = [
    countFlag('--seed <n>', 'of inputs and worlds', 0).default(seed),
    countFlag('--vocabulary <n>', 'tokens of the enumerable world, the end token included', 2).default(vocabulary),
    countFlag('--length <n>', 'tokens of its longest completion').default(length),
    countFlag('--trials <n>', 'random inputs and options per property').default(trials),
    new Option('--json', 'as JSON'),
  ];
  for (const flag of flags) command.addOption(flag);
  command.action((what, given) => certifyAll(what, given as unknown as Flags, context));
}

async function certifyAll(what: readonly string[], { json, ...options }: Flags, context: Context): Promise<void> {
  const { terminal, leaveWith } = context;
  const asked = await objectivesOf(what);
  const began = performance.now();
  const certificates = asked.map((objective, at) => {
    terminal.status(`certifying ${objective.name}, ${at + 1} of ${asked.length}`);
    return certify(objective, options);
  });
  const theory: TheoryCheck[] = [];
  for (const { name, run } of what.includes('all') ? theoryChecks : []) {
    terminal.status(`checking: ${name}`);
    theory.push(run());
  }
  terminal.status('');
  const passed = [...certificates, ...theory].every((one) => one.passed);
  if (!passed) leaveWith(exitCodes.internal);
  if (json) {
    terminal.print(JSON.stringify({ passed, certificates, theory }, null, 2));
    return;
  }
  for (const text of [
    certificates.length > 1 ? overview(certificates, terminal) : '',
    ...certificates.filter((one) => certificates.length === 1 || !one.passed).map((one) => inFull(one, terminal)),
    theory.length > 0 ? theoryText(theory, terminal) : '',
  ]) {
    if (text !== '') terminal.print(`${text}\n`);
  }
  const failed = certificates.filter((one) => !one.passed).length + theory.filter((one) => !one.passed).length;
  const { green, red } = terminal.color;
  const verdict = failed === 0 ? green('all hold') : red(`${failed} do not hold`);
  const looked = [`${certificates.length} certificate${certificates.length === 1 ? '' : 's'}`];
  if (theory.length > 0) looked.push(`${theory.length} theorems`);
  terminal.print(`${looked.join(', ')}: ${verdict}, in ${duration((performance.now() - began) / 1000)}`);
}

async function objectivesOf(what: readonly string[]): Promise<Objective[]> {
  const found: Objective[] = [];
  for (const one of what) {
    if (one === 'all') found.push(...Object.values(objectives));
    else if (isObjectiveFile(one)) found.push(await loadObjective(one));
    else found.push(getObjective(one));
  }
  return [...new Set(found)];
}

function overview(certificates: readonly Certificate[], { width, color }: Terminal): string {
  const rows = certificates.map(({ objective, checks, claims }) => [
    objective,
    ...checks.map(({ passed }) => (passed ? 'ok' : 'FAILED')),
    [...new Set(claims.flatMap(({ optimum, descends }) => [optimum, descends]))].filter(Boolean).join('; ') || '-',
  ]);
  const titles = ['objective', ...checkNames, 'rests at, or descends'];
  return table(
    titles.map((title) => ({ title })),
    rows,
    { width: Math.max(width, 110), color },
  );
}

function inFull({ objective, title, paper, checks }: Certificate, { width, color }: Terminal): string {
  const rows = checks.map(({ name, passed, text, error, bound }) => [
    name,
    passed ? 'ok' : 'FAILED',
    error === undefined ? '' : error.toExponential(1),
    bound === undefined ? '' : bound.toExponential(1),
    text,
  ]);
  const columns = ['check', '', 'error', 'allowed', 'what was compared'].map((name) => ({ title: name }));
  return `${color.bold(objective)}  ${title}\n${paper}\n\n${table(columns, rows, { width, color })}`;
}

function theoryText(theory: readonly TheoryCheck[], { width, color }: Terminal): string {
  const rows = theory.map(({ name, passed, found }) => [passed ? 'ok' : 'FAILED', `${name}: ${found}`]);
  return table([{ title: '' }, { title: 'theorem, and what was found' }], rows, { width, color });
}
