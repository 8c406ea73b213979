import { formats as allFormats, type Plan } from '@kelpie/data';
import type { Objective } from '@kelpie/objectives';
import { openPolicy, type Tokenizer } from '@kelpie/policy';
import { checkpointOf, judgesSequences, type PlannedRun, planOffline } from '@kelpie/runner';
import type { Origin } from './config/entry.js';
import type { Resolved } from './config/resolve.js';
import type { RunConfig } from './config/schema.js';
import { configText, derivedFrom, pieces, startOrigins, startValues, tokenLine } from './config-text.js';
import type { Context } from './context.js';
import { batchesOf, type MemoryOptions, memoryOf, memoryText, modelShape } from './memory.js';
import { tokenizerAt } from './model.js';
import { grouped, many, type Terminal } from './print.js';
import { labelled } from './progress.js';
import { keepsReference, openOptions, requireRun, tokenizerFolder } from './start.js';
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
  introduce(objective, { policy, tokenizer }, config, terminal);
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
    ...(config.model.reference !== undefined && {
      others: [{ label: 'reference', bytes: 4 * policy.info.parameters }],
    }),
    logits: logitsOf(objective, objectiveOptions(config), planned.plan),
    ...batchesOf(planned.plan, { steps, examples, heldout, options, scoresReference }),
  });
  terminal.print(labelled(terminal, 'memory', memoryText(memory)));
  const filled: Readonly<Record<string, unknown>> = {
    ...startValues(config, policy.info),
    'data.maxLength': policy.info.contextLength,
    'data.truncation': truncationOf(objective),
    'data.format': rows.formats,
    'data.score': scoresOf(rows.formats),
    'training.microBatchTokens': options.microBatchTokens,
  };
  terminal.print(`\n${configText(objective, config, new Map([...origins, ...derived(objective, config)]), filled)}`);
  for (const example of rows.examples.slice(0, 2)) terminal.print(`\n${preview(example, tokenizer, terminal)}`);
  terminal.print(`\n${terminal.color.dim('dry run: nothing was trained, nothing written')}`);
}

/** As a training step goes about them (`accumulate`). */
function logitsOf(
  objective: Objective,
  options: Record<string, unknown>,
  { at, stepsPerEpoch }: Plan,
): NonNullable<MemoryOptions['logits']> {
  if (judgesSequences(objective.needsOf(options))) return 'none';
  const inParts = () =>
    Array.from({ length: stepsPerEpoch }, (_, step) => at(step)).some((s) => s.microBatches.length > 1);
  return objective.linear === true || (!objective.separable && inParts()) ? 'at once' : 'waiting';
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
function derived(objective: Objective, config: RunConfig): [string, Origin][] {
  const { data, training } = config;
  return [
    ...startOrigins(config),
    ...derivedFrom('data.format', data.format, 'found by the columns'),
    ...derivedFrom(
      'data.truncation',
      data.truncation,
      `for ${objective.rows === 'single' ? 'text' : 'pairs'}; not asked for: a prompt without room is a bad row`,
    ),
    ...derivedFrom('data.maxLength', data.maxLength, "the model's context"),
    ...(objective.rows === 'single' ? derivedFrom('data.score', data.score, 'whether rows have a prompt') : []),
    ...derivedFrom('training.microBatchTokens', training.microBatchTokens, "the model's size, the longest row"),
  ];
}

/** A row as the model sees it: its pieces apart, what counts and what does not on lines of their own. */
function preview({ id, tree, ...example }: Loaded, tokenizer: Tokenizer, terminal: Terminal): string {
  const names = 'chosen' in example ? ['chosen', 'rejected'] : ['completion'];
  const lines: string[] = [terminal.color.bold(`row ${id}`)];
  let before = '';
  tree.branches.forEach(({ ids, scoreFrom }, branch) => {
    const path = [...tree.trunk, ...ids];
    const given = pieces(path.slice(0, scoreFrom), tokenizer);
    if (branch === 0 || given !== before) lines.push(tokenLine(terminal, 'not scored', scoreFrom, given));
    before = given;
    lines.push(
      tokenLine(
        terminal,
        `${names[branch] ?? branch}, scored`,
        path.length - scoreFrom,
        pieces(path.slice(scoreFrom), tokenizer),
      ),
    );
  });
  return lines.join('\n');
}
