import { plan } from '@kelpie/data';
import type { Objective } from '@kelpie/objectives';
import { openPolicy, type Policy, type TokenTree } from '@kelpie/policy';
import { budgetOf, checkpointOf, type OnlineOptions, type PlannedOnline, planOnline } from '@kelpie/runner';
import type { Origin } from '../config/entry.js';
import type { Resolved } from '../config/resolve.js';
import type { OnlineConfig } from '../config/schema.js';
import { configText, derivedFrom, pieces, startOrigins, startValues, tokenLine } from '../config-text.js';
import type { Context } from '../context.js';
import { batchesOf, memoryOf, memoryText, modelShape } from '../memory.js';
import { tokenizerAt } from '../model.js';
import { grouped, many } from '../print.js';
import { labelled } from '../progress.js';
import { tokenizerFolder } from '../start.js';
import { givenObjectiveOptions, introduce } from '../train-parts.js';
import { engineOf } from './engine.js';
import type { LoadedPrompt } from './prompts.js';
import { withRewards } from './rewards.js';
import { onlineOpenOptions, openCritic, readPrompts, requireOnline, rolloutOptions } from './start.js';

/** Completions that the decoder holds side by side, at most. */
const decodedRows = 64;

/** Opens and reads all that a run would, says what it would do, and writes nothing. */
export async function dryRunOnline(
  objective: Objective,
  resolved: Resolved<OnlineConfig>,
  { resume }: { readonly resume: boolean },
  { terminal }: Context,
): Promise<void> {
  const { config, origins } = resolved;
  const { prompts: files, out } = requireOnline(resolved, { resume });
  await withRewards(config.online, async ({ rewards, watched }) => {
    const tokenizer = await tokenizerAt(tokenizerFolder(config));
    terminal.status(terminal.noteColor.dim('opening the model ...'));
    await using policy = await openPolicy({ ...onlineOpenOptions(objective, config), keepReference: false });
    await using critic = await openCritic(config);
    terminal.status('');
    introduce(objective, { policy, tokenizer }, config, terminal);
    const { train, heldout, count } = await readPrompts(config, files, { policy, tokenizer });
    terminal.print(labelled(terminal, 'data', many(count, 'prompt')));
    const engine = engineOf(config, { tokenizer: tokenizer.folder });
    const planned = planOnline({
      policy,
      ...(engine && { engine }),
      ...(critic && { critic }),
      objective,
      objectiveOptions: givenObjectiveOptions(resolved),
      prompts: train,
      heldout,
      rewards,
      watched,
      options: rolloutOptions(config),
      outFolder: out,
      tokenizer,
    });
    const { options } = planned;
    const ownKl = klInForce(resolved, planned);
    const drawn = options.promptsPerStep * options.completions;
    const told = `${many(options.steps, 'step')} of ${grouped(drawn)} completions; ${grouped(heldout.length)} prompts held out`;
    terminal.print(labelled(terminal, 'run', told));
    if (resume) {
      const { steps } = options;
      const from = await checkpointOf(out, { config: planned.config, steps }, (message) => terminal.warn([message]));
      if (from) terminal.print(labelled(terminal, 'resume', `from the checkpoint of step ${from.state.step}`));
    }
    const trees = rolloutTrees(train, options, policy.info);
    const microBatchTokens = options.microBatchTokens ?? budgetOf(policy.info.parameters, trees);
    const place = config.model.path ?? config.model.init!;
    const memory = await memoryOfRollouts({
      place,
      policy,
      critic,
      config,
      trees,
      options: { ...options, microBatchTokens },
    });
    terminal.print(labelled(terminal, 'memory', memoryText(memory)));
    const values: Readonly<Record<string, unknown>> = {
      ...startValues(config, policy.info),
      'online.advantage': planned.advantage,
      'online.take': planned.take,
      'online.klEstimator': options.klEstimator,
      'training.microBatchTokens': microBatchTokens,
    };
    const from = new Map<string, Origin>([
      ...origins,
      ...startOrigins(config),
      ...derivedFrom('online.advantage', config.online.advantage, `usual for ${objective.name}`),
      ...derivedFrom('online.take', config.online.take, `usual for ${objective.name}`),
      ...(options.penalty === 'kl'
        ? derivedFrom('online.klEstimator', config.online.klEstimator, `usual in the ${options.penaltyIn}`)
        : []),
      ...Object.keys(ownKl).map((name): [string, Origin] => [
        `objective.${name}`,
        { kind: 'derived', from: name === 'beta' ? 'the penalty is held instead' : "the penalty's" },
      ]),
      ...derivedFrom(
        'training.microBatchTokens',
        config.training.microBatchTokens,
        "the model's size, the longest row",
      ),
    ]);
    terminal.print(
      `\n${configText(objective, { ...config, objective: { ...config.objective, ...ownKl } }, from, values)}`,
    );
    for (const { id, ids } of train.slice(0, 2)) {
      const line = tokenLine(terminal, 'prompt', ids.length, pieces(ids, tokenizer));
      terminal.print(`\n${terminal.color.bold(`row ${id}`)}\n${line}`);
    }
    terminal.print(`\n${terminal.color.dim('dry run: nothing was trained, nothing written')}`);
  });
}

/** Of the objective's own KL what a penalty has settled otherwise than by default. */
function klInForce(resolved: Resolved<OnlineConfig>, { objectiveOptions }: PlannedOnline): Record<string, unknown> {
  const given = givenObjectiveOptions(resolved);
  const settled = (['beta', 'klEstimator'] as const).filter((name) => name in objectiveOptions && !(name in given));
  return Object.fromEntries(settled.map((name) => [name, objectiveOptions[name]]));
}

type Trees = readonly { readonly tree: TokenTree }[];

/** The largest step there may be: the longest prompts, all completions as long as they may get. */
function rolloutTrees(
  prompts: readonly LoadedPrompt[],
  { promptsPerStep, completions, maxNewTokens }: OnlineOptions,
  { contextLength }: Pick<Policy['info'], 'contextLength'>,
): Trees {
  const longest = prompts.toSorted((a, b) => b.ids.length - a.ids.length).slice(0, promptsPerStep);
  return longest.map(({ ids: trunk }) => {
    const ids = new Array<number>(Math.min(maxNewTokens, contextLength - trunk.length)).fill(0);
    return { tree: { trunk, branches: Array.from({ length: completions }, () => ({ ids, scoreFrom: trunk.length })) } };
  });
}

interface Rollouts {
  readonly place: string;
  readonly policy: Policy;
  readonly critic: Policy | undefined;
  readonly config: OnlineConfig;
  readonly trees: Trees;
  readonly options: OnlineOptions & { readonly microBatchTokens: number };
}

/** An estimate like that of a run on rows, with the decoder's cache; what rewards take comes on top. */
async function memoryOfRollouts({ place, policy, critic, config, trees, options }: Rollouts) {
  const shape = await modelShape(place);
  const { microBatchTokens, microBatchRows, promptsPerStep, completions } = options;
  const caps = { microBatchTokens, ...(microBatchRows !== undefined && { microBatchRows }) };
  const planned = plan({ examples: trees, rowsPerStep: trees.length, shuffle: false, ...caps });
  const tokens = trees.reduce((most, { tree }) => Math.max(most, tree.trunk.length + tree.branches[0]!.ids.length), 0);
  const rows = Math.min(decodedRows, promptsPerStep * completions);
  const cache = {
    label: "the decoder's cache",
    bytes: rows * tokens * shape.layers * 2 * shape.kvHeads * shape.headDim * 4,
  };
  // What a step makes of its logits, and keeps for the next.
  const drawn = { label: "the decoder's logits", bytes: 6 * rows * shape.vocabulary * 4 };
  const batches = batchesOf(planned, { steps: 1, examples: trees, heldout: [], options: caps, scoresReference: false });
  const besides = critic
    ? [{ label: 'critic', bytes: await memoryOfCritic(config.online.critic!, critic, batches) }]
    : [];
  return memoryOf({
    shape,
    parameters: policy.info.parameters,
    trainedParameters: policy.info.trainedParameters,
    copiesReference: config.lora.rank === undefined || config.training.syncReferenceEvery > 0,
    others: [cache, drawn, ...besides],
    ...batches,
  });
}

/** What a thread with sessions of its own takes besides, by the peaks of three runs with a critic. */
const threadBytes = 80e6;

/** It is trained on the same batches, in a thread of its own, and has no logits. */
async function memoryOfCritic(
  place: string,
  { info: { parameters, trainedParameters } }: Policy,
  { training }: ReturnType<typeof batchesOf>,
): Promise<number> {
  const sizes = { shape: await modelShape(place), parameters, trainedParameters, copiesReference: false };
  const { parts } = memoryOf({ ...sizes, training, scored: 0, logits: 'none' });
  return parts.reduce((sum, { label, bytes }) => (label === 'process' ? sum : sum + bytes), threadBytes);
}
