import { plan } from '@kelpie/data';
import type { Objective } from '@kelpie/objectives';
import { openPolicy, type Policy, type Tokenizer } from '@kelpie/policy';
import { withBudget } from '@kelpie/runner';
import { stringify } from 'yaml';
import { type Origin, originText } from './config/entry.js';
import type { Resolved } from './config/resolve.js';
import { keysOf, type RunConfig } from './config/schema.js';
import type { Context } from './context.js';
import { batchesOf, memoryOf, memoryText, modelShape } from './memory.js';
import { tokenizerAt } from './model.js';
import { grouped, type Terminal, wrap } from './print.js';
import { labelled } from './progress.js';
import { alphaOf, keepsReference, openOptions, requireRun, tokenizerFolder } from './start.js';
import { introduce, type Loaded, loopOptions, objectiveOptions, readRows } from './train-parts.js';

/** Opens and reads all that a run would, says what it would do, and writes nothing. */
export async function dryRun(
  objective: Objective,
  resolved: Resolved,
  call: { readonly resume: boolean },
  { terminal }: Context,
): Promise<void> {
  const { config, origins } = resolved;
  const { data } = requireRun(resolved, call);
  const tokenizer = await tokenizerAt(tokenizerFolder(config));
  terminal.status(terminal.noteColor.dim('opening the model ...'));
  await using policy = await openPolicy({ ...openOptions(objective, config), keepReference: false });
  terminal.status('');
  introduce(objective, policy, config, terminal);
  const { examples, heldout } = await readRows(objective, { ...resolved, data, policy, tokenizer }, terminal);
  const options = withBudget(loopOptions(config), policy.info, [...examples, ...heldout]);
  const planned = plan({
    examples,
    rowsPerStep: options.batchSize,
    microBatchTokens: options.microBatchTokens,
    ...(options.microBatchRows !== undefined && { microBatchRows: options.microBatchRows }),
    shuffle: options.shuffle,
    seed: options.seed,
    epochs: options.maxSteps === undefined ? options.epochs : Number.POSITIVE_INFINITY,
  });
  const steps = options.maxSteps ?? planned.steps;
  const told = `${steps} steps, ${planned.stepsPerEpoch} a pass over ${grouped(examples.length)} rows; ${grouped(heldout.length)} held out`;
  terminal.print(labelled(terminal, 'run', told));
  const scoresReference = objective.needsOf(objectiveOptions(config)).reference.length > 0;
  const memory = memoryOf({
    shape: await modelShape(config.model.path ?? config.model.init!),
    parameters: policy.info.parameters,
    trainedParameters: policy.info.trainedParameters,
    adapter: config.lora.rank !== undefined || config.model.adapter !== undefined,
    copiesReference: config.lora.rank === undefined && keepsReference(objective, config) !== false,
    samples: options.samplePrompts > 0,
    ...batchesOf(planned, { steps, examples, heldout, options, scoresReference }),
  });
  terminal.print(labelled(terminal, 'memory', memoryText(memory)));
  const filled: Readonly<Record<string, unknown>> = {
    'model.tokenizer': tokenizerFolder(config),
    'model.threads': policy.info.threads,
    'data.maxLength': policy.info.contextLength,
    'lora.alpha': alphaOf(config.lora),
    'lora.targets': 'all-linear',
    'training.microBatchTokens': options.microBatchTokens,
  };
  terminal.print(`\n${configText(objective, config, new Map([...origins, ...derived(config, policy)]), filled)}`);
  for (const example of examples.slice(0, 2)) terminal.print(`\n${preview(example, tokenizer, terminal)}`);
  terminal.print(`\n${terminal.color.dim('dry run: nothing was trained, nothing written')}`);
}

/** Values that no key gives and the model decides on. */
function derived({ model, lora, data, training }: RunConfig, { info }: Pick<Policy, 'info'>): [string, Origin][] {
  const from = (key: string, value: unknown, text: string): [string, Origin][] =>
    value === undefined ? [[key, { kind: 'derived', from: text }]] : [];
  return [
    ...from('model.tokenizer', model.tokenizer, "the model's folder"),
    ...from('model.threads', model.threads, 'one a core'),
    ...from('data.maxLength', data.maxLength, "the model's context"),
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
      return [[`  ${key}: ${flow(values[key] ?? filled[`${section}.${key}`])}`, originText(origin)] as const];
    });
    return own.length === 0 ? [] : [[`${section}:`, ''] as const, ...own];
  });
  const width = Math.min(48, Math.max(...lines.map(([line]) => line.length)));
  return lines.map(([line, origin]) => (origin === '' ? line : `${line.padEnd(width)}  # ${origin}`)).join('\n');
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
