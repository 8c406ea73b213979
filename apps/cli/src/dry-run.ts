import { formats as allFormats } from '@kelpie/data';
import type { Objective } from '@kelpie/objectives';
import { openPolicy, type Policy, type Tokenizer } from '@kelpie/policy';
import { checkpointOf, type PlannedRun, planOffline } from '@kelpie/runner';
import { stringify } from 'yaml';
import { type Origin, originText } from './config/entry.js';
import type { Resolved } from './config/resolve.js';
import { keysOf, type RunConfig } from './config/schema.js';
import type { Context } from './context.js';
import { batchesOf, memoryOf, memoryText, modelShape } from './memory.js';
import { tokenizerAt } from './model.js';
import { grouped, many, type Terminal, wrap } from './print.js';
import { labelled } from './progress.js';
import { alphaOf, keepsReference, openOptions, requireRun, tokenizerFolder } from './start.js';
import { introduce, type Loaded, loopOptions, objectiveOptions, readable, readRows } from './train-parts.js';

/** Opens and reads all that a run would, says what it would do, and writes nothing. */
export async function dryRun(
  objective: Objective,
  resolved: Resolved,
  call: { readonly resume: boolean; readonly objectiveHash?: string },
  { terminal }: Context,
): Promise<void> {
  const { config, origins } = resolved;
  const { data, out } = requireRun(resolved, call);
  const tokenizer = await tokenizerAt(tokenizerFolder(config));
  terminal.status(terminal.noteColor.dim('opening the model ...'));
  await using policy = await openPolicy({ ...openOptions(objective, config), keepReference: false });
  terminal.status('');
  introduce(objective, policy, config, terminal);
  const rows = await readRows(objective, { ...resolved, data, policy, tokenizer }, terminal);
  const planned = planOffline({
    policy,
    objective,
    objectiveOptions: objectiveOptions(config),
    ...(call.objectiveHash !== undefined && { objectiveHash: call.objectiveHash }),
    examples: rows.examples,
    heldout: rows.heldout,
    options: loopOptions(config),
    tokenizer: readable(tokenizer),
  });
  const { options, examples, heldout, steps } = planned;
  terminal.warn(planned.warnings);
  const told = `${many(steps, 'step')}, ${planned.plan.stepsPerEpoch} a pass over ${many(examples.length, 'row')}; ${grouped(heldout.length)} held out`;
  terminal.print(labelled(terminal, 'run', told));
  if (call.resume) await sayWhereFrom(out, planned, terminal);
  const scoresReference = objective.needsOf(objectiveOptions(config)).reference.length > 0;
  const memory = memoryOf({
    shape: await modelShape(config.model.path ?? config.model.init!),
    parameters: policy.info.parameters,
    trainedParameters: policy.info.trainedParameters,
    copiesReference: config.lora.rank === undefined && keepsReference(objective, config) !== false,
    ...batchesOf(planned.plan, { steps, examples, heldout, options, scoresReference }),
  });
  terminal.print(labelled(terminal, 'memory', memoryText(memory)));
  const filled: Readonly<Record<string, unknown>> = {
    'model.tokenizer': tokenizerFolder(config),
    'model.threads': policy.info.threads,
    'data.maxLength': policy.info.contextLength,
    'data.truncation': truncationOf(objective),
    'data.format': rows.formats,
    'data.score': scoresOf(rows.formats),
    'lora.alpha': alphaOf(config.lora),
    'lora.targets': 'all-linear',
    'training.microBatchTokens': options.microBatchTokens,
  };
  terminal.print(
    `\n${configText(objective, config, new Map([...origins, ...derived(objective, config, policy)]), filled)}`,
  );
  for (const example of rows.examples.slice(0, 2)) terminal.print(`\n${preview(example, tokenizer, terminal)}`);
  terminal.print(`\n${terminal.color.dim('dry run: nothing was trained, nothing written')}`);
}

/** Where a resumed run would go on, by a checkpoint that was made as this run would be. */
async function sayWhereFrom(out: string, planned: PlannedRun, terminal: Terminal): Promise<void> {
  const checkpoint = await checkpointOf(out, planned, (message) => terminal.warn([message]));
  if (checkpoint === undefined) return;
  terminal.print(labelled(terminal, 'resume', `from the checkpoint of step ${checkpoint.state.step}`));
}

const truncationOf = ({ rows }: Objective): string => (rows === 'single' ? 'end' : 'prompt-start');

/** Which tokens of text count where nothing says so: all, but behind a prompt. */
function scoresOf(formats: readonly string[]): readonly string[] {
  return [...new Set(formats.map((name) => (allFormats.get(name)?.kind === 'text' ? 'all' : 'completion')))];
}

/** Values that no key gives: the model, the objective or the rows decide on them. */
function derived(
  objective: Objective,
  { model, lora, data, training }: RunConfig,
  { info }: Pick<Policy, 'info'>,
): [string, Origin][] {
  const from = (key: string, value: unknown, text: string): [string, Origin][] =>
    value === undefined ? [[key, { kind: 'derived', from: text }]] : [];
  return [
    ...from('model.tokenizer', model.tokenizer, "the model's folder"),
    ...from('model.threads', model.threads, 'one a core'),
    ...from('data.format', data.format, 'found by the columns'),
    ...from(
      'data.truncation',
      data.truncation,
      `for ${objective.rows === 'single' ? 'text' : 'pairs'}; not asked for: a prompt without room is a bad row`,
    ),
    ...from('data.maxLength', data.maxLength, "the model's context"),
    ...(objective.rows === 'single' ? from('data.score', data.score, 'whether rows have a prompt') : []),
    ...from('training.microBatchTokens', training.microBatchTokens, "the model's size, the longest row"),
    ...(lora.rank === undefined || info.contextLength === 0
      ? []
      : [
          ...from('lora.alpha', lora.alpha, 'twice the rank'),
          ...from('lora.targets', lora.targets, 'all but the head'),
        ]),
  ];
}

/** The whole config as a file that could be given again, each value with where it comes from. */
function configText(
  objective: Objective,
  config: RunConfig,
  origins: ReadonlyMap<string, Origin>,
  filled: Readonly<Record<string, unknown>>,
): string {
  const lines = [...keysOf(objective)].flatMap(([section, keys]) => {
    const values = (config as unknown as Record<string, Record<string, unknown>>)[section]!;
    const own = keys.flatMap((key) => {
      const origin = origins.get(`${section}.${key}`);
      if (origin === undefined || (section === 'lora' && config.lora.rank === undefined)) return [];
      return [
        [`  ${entry(key, values[key] ?? filled[`${section}.${key}`], values[key])}`, originText(origin)] as const,
      ];
    });
    return own.length === 0 ? [] : [[`${section}:`, ''] as const, ...own];
  });
  const width = Math.min(48, Math.max(...lines.map(([line]) => line.length)));
  return lines.map(([line, origin]) => (origin === '' ? line : `${line.padEnd(width)}  # ${origin}`)).join('\n');
}

/** A key with its value; files may differ in what none of them is told, which no one key can say. */
function entry(key: string, value: unknown, given: unknown): string {
  if (given !== undefined || !Array.isArray(value)) return `${key}: ${flow(value)}`;
  return value.length === 1 ? `${key}: ${flow(value[0])}` : `# ${key}: ${value.join(', ')}`;
}

const flow = (value: unknown): string =>
  stringify(value, { collectionStyle: 'flow', lineWidth: 0, flowCollectionPadding: false }).trimEnd();

const shownPieces = 200;

/** A row as the model sees it: its pieces apart, what counts and what does not on lines of their own. */
function preview({ id, tree, ...example }: Loaded, tokenizer: Tokenizer, { color, width }: Terminal): string {
  const names = 'chosen' in example ? ['chosen', 'rejected'] : ['completion'];
  const lines: string[] = [color.bold(`row ${id}`)];
  let before = '';
  tree.branches.forEach(({ ids, scoreFrom }, branch) => {
    const path = [...tree.trunk, ...ids];
    const given = pieces(path.slice(0, scoreFrom), tokenizer);
    if (branch === 0 || given !== before) lines.push(line('not scored', scoreFrom, given));
    before = given;
    lines.push(
      line(`${names[branch] ?? branch}, scored`, path.length - scoreFrom, pieces(path.slice(scoreFrom), tokenizer)),
    );
  });
  return lines.join('\n');

  function line(label: string, count: number, text: string): string {
    const head = `  ${label.padEnd(18)}${`${count}`.padStart(5)} tokens  `;
    return `${color.dim(head)}${wrap(text, width - head.length, ' '.repeat(head.length))}`;
  }
}

/** Pieces with a space between them; a `·` is a space of the text's own. */
function pieces(ids: readonly number[], tokenizer: Tokenizer): string {
  const texts = ids.slice(0, shownPieces).map((id) => tokenizer.decode([id]).replaceAll('\n', '\\n'));
  const shown = texts.map((text) => text.replaceAll(' ', '·'));
  if (ids.length > shownPieces) shown.push(`and ${ids.length - shownPieces} more`);
  return shown.join(' ');
}
