import { type Command, Option } from '@commander-js/extra-typings';
import { getObjective, type Objective, objectives } from '@kelpie/objectives';
import {
  type Certificate,
  type CertifyOptions,
  certify,
  certifyDefaults,
  checkNames,
  type Ordering,
  orderings,
  type TheoryCheck,
  theoryChecks,
} from '@kelpie/objectives/certify';
import { type Certified, certificatesPage, formulas } from '../certify-markdown.js';
import type { Context } from '../context.js';
import { isObjectiveFile, loadObjective } from '../custom-objective.js';
import { exitCodes, UsageError } from '../exit.js';
import { countFlag } from '../flags.js';
import { duration, type Terminal, table } from '../print.js';

interface Flags extends CertifyOptions {
  readonly json?: boolean;
  readonly markdown?: boolean;
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
    new Option('--markdown', 'as a page of documentation').conflicts('json'),
  ];
  for (const flag of flags) command.addOption(flag);
  command.action((what, given) => certifyAll(what, given as unknown as Flags, context));
}

async function certifyAll(
  what: readonly string[],
  { json, markdown, ...options }: Flags,
  context: Context,
): Promise<void> {
  const { terminal, leaveWith } = context;
  requireSmall(options);
  const asked = await objectivesOf(what);
  const began = performance.now();
  const certificates = asked.map((objective, at) => {
    terminal.status(`certifying ${objective.name}, ${at + 1} of ${asked.length}`);
    return certify(objective, options);
  });
  const each = <Found>(list: readonly { readonly name: string; run(): Found }[]): Found[] =>
    list.map(({ name, run }) => {
      terminal.status(`checking: ${name}`);
      return run();
    });
  const all = what.includes('all');
  const theory = each(all ? theoryChecks : []);
  const reported = each(all ? orderings : []);
  terminal.status('');
  const failed =
    [...certificates, ...theory].filter((one) => !one.passed).length +
    reported.filter(({ required, reproduced }) => required && !reproduced).length;
  const result: Certified = { passed: failed === 0, certificates, theory, orderings: reported };
  if (failed > 0) leaveWith(exitCodes.internal);
  if (json) terminal.print(JSON.stringify(result, null, 2));
  else if (markdown) terminal.raw(certificatesPage(result));
  else terminal.print(`${inWords(result, terminal)}${verdict(result, failed, performance.now() - began, terminal)}`);
}

/** Completions of a world, of which all pairs and groups of three are looked at. */
const MOST_COMPLETIONS = 100;

function requireSmall({
  vocabulary = certifyDefaults.vocabulary,
  length = certifyDefaults.length,
}: CertifyOptions): void {
  // Σ (vocabulary - 1)^t completions that end after t tokens more, and the full-length ones.
  let [completions, open] = [0, 1];
  for (let token = 1; token < length; token++) {
    completions += open;
    open *= vocabulary - 1;
  }
  completions += open * vocabulary;
  if (completions <= MOST_COMPLETIONS) return;
  throw new UsageError(
    `\`--vocabulary ${vocabulary} --length ${length}\` make ${completions} completions, and every pair and group of three of them is looked at: at most ${MOST_COMPLETIONS}`,
  );
}

function inWords({ certificates, theory, orderings: reported }: Certified, terminal: Terminal): string {
  const parts = [
    certificates.length > 1 ? overview(certificates, terminal) : '',
    ...certificates.filter((one) => certificates.length === 1 || !one.passed).map((one) => inFull(one, terminal)),
    theory.length > 0 ? theoryText(theory, terminal) : '',
    reported.length > 0 ? orderingText(reported, terminal) : '',
  ];
  return parts.flatMap((part) => (part === '' ? [] : [`${part}\n\n`])).join('');
}

function verdict(
  { certificates, theory, orderings: reported }: Certified,
  failed: number,
  ms: number,
  terminal: Terminal,
): string {
  const { green, red } = terminal.color;
  const looked = [`${certificates.length} certificate${certificates.length === 1 ? '' : 's'}`];
  if (theory.length > 0) looked.push(`${theory.length} statements of theory`);
  if (reported.length > 0) looked.push(`${reported.filter(({ required }) => required).length} orderings`);
  return `${looked.join(', ')}: ${failed === 0 ? green('all hold') : red(`${failed} do not hold`)}, in ${duration(ms / 1000)}`;
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
    formulas(claims) || '-',
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
  const rows = theory.map(({ name, passed, found, error, bound }) => {
    const figures = error === undefined ? '' : `; worst error ${error.toExponential(1)}, allowed ${bound}`;
    return [passed ? 'ok' : 'FAILED', `${name}: ${found}${figures}`];
  });
  return table([{ title: '' }, { title: 'theory, and what was found' }], rows, { width, color });
}

function orderingText(reported: readonly Ordering[], { width, color }: Terminal): string {
  const rows = reported.map(({ name, reproduced, required, found, regime }) => [
    reproduced ? 'reproduced' : required ? 'FAILED' : 'not reproduced',
    `${name}: ${found} (${regime})`,
  ]);
  return table([{ title: '' }, { title: 'ordering that a paper reports, and what was found' }], rows, { width, color });
}
