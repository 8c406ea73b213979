import { reportText } from '@kelpie/data';
import type { Objective } from '@kelpie/objectives';
import type { Policy, Tokenizer } from '@kelpie/policy';
import { type Example, holdOut, judgesSequences, type TrainOptions } from '@kelpie/runner';
import { calledOf } from './config/entry.js';
import type { Resolved } from './config/resolve.js';
import type { RunConfig, StartConfig } from './config/schema.js';
import { judgedRows } from './judged-rows.js';
import { threadWarnings } from './model.js';
import { grouped, type Terminal } from './print.js';
import { labelled } from './progress.js';
import { loadLabelled, loadPairs, loadTexts } from './rows.js';
import { unusual } from './usual.js';
import { vocabularyWarnings } from './vocabulary.js';

/** Options of the loop; held-out rows of their own leave nothing to hold out. */
export function loopOptions({ training: { selfCheck: _, ...training }, data }: RunConfig): TrainOptions {
  return { ...training, heldout: data.heldout === undefined ? data.heldoutFraction : 0 };
}

export function objectiveOptions({ objective: { name: _, ...options } }: StartConfig): Record<string, unknown> {
  return options;
}

/** Of them only what was given: a default may stand back behind another option. */
export function givenObjectiveOptions({ config, origins }: Resolved<StartConfig>): Record<string, unknown> {
  const given = ([name]: readonly [string, unknown]) => {
    const origin = origins.get(`objective.${name}`);
    return origin !== undefined && origin.kind !== 'default';
  };
  return Object.fromEntries(Object.entries(objectiveOptions(config)).filter(given));
}

export function introduce(
  objective: Objective,
  { policy: { info }, tokenizer }: Pick<RowSources, 'policy' | 'tokenizer'>,
  config: StartConfig,
  terminal: Terminal,
): void {
  const { color } = terminal;
  const unfit = vocabularyWarnings(tokenizer, info.vocabularySize);
  const { modelType, parameters, trainedParameters, contextLength } = info;
  const trained = trainedParameters === parameters ? '' : `, ${grouped(trainedParameters)} trained`;
  const start = config.model.path ?? `new, from ${config.model.init}`;
  terminal.print(`${color.bold(`kelpie train ${objective.name}`)}  ${objective.title}`);
  const facts = `${modelType}, ${grouped(parameters)} parameters${trained}, context ${contextLength} tokens`;
  terminal.print(labelled(terminal, 'model', `${start}\n${facts}`));
  const unwise = [...threadWarnings(config.model.threads), ...unusual(objective, config, info)];
  terminal.warn([...info.warnings, ...unfit, ...unwise]);
}

export type Loaded = Example & { readonly prompt: string; readonly completion?: string };

export interface RowSources extends Resolved {
  readonly data: readonly string[];
  readonly policy: Pick<Policy, 'info'>;
  readonly tokenizer: Tokenizer;
}

export interface ReadRows {
  readonly examples: readonly Loaded[];
  readonly heldout: readonly Loaded[];
  /** Of the files to train on, each once. */
  readonly formats: readonly string[];
}

/** Rows to train on and rows to evaluate on; what reading them came to is told. */
export async function readRows(
  objective: Objective,
  { config, origins, data, policy, tokenizer }: RowSources,
  terminal: Terminal,
): Promise<ReadRows> {
  const { contextLength, vocabularySize } = policy.info;
  const { files: _, heldout: heldoutFiles, ...how } = config.data;
  const needs = objective.needsOf(objectiveOptions(config));
  const maxLengthCalled = calledOf(origins)('data.maxLength', '--max-length');
  const read = async (label: string, files: readonly string[]) => {
    const source = { files, tokenizer, contextLength, vocabularySize, maxLengthCalled };
    const load = { single: loadTexts, pairs: loadPairs, groups: loadPairs, unpaired: loadLabelled(needs) };
    const { examples, report } = await load[objective.rows](how, source);
    terminal.print(labelled(terminal, label, reportText(report)));
    const formats = [...new Set(report.files.map(({ format }) => format))];
    const loaded = examples as readonly Loaded[];
    return { examples: judgesSequences(needs) ? judgedRows(loaded, needs, tokenizer) : loaded, formats };
  };
  const { examples, formats } = await read('data', data);
  if (heldoutFiles !== undefined) {
    const held = await read('held out', [heldoutFiles].flat());
    return { examples, heldout: held.examples, formats };
  }
  const held = holdOut(examples, loopOptions(config));
  return { examples: held.train, heldout: held.heldout, formats };
}

/** Samples as people read them. */
export function readable(tokenizer: Tokenizer): Pick<Tokenizer, 'decode' | 'hash' | 'eosTokens'> {
  const { hash, eosTokens } = tokenizer;
  return { hash, eosTokens, decode: (ids) => tokenizer.decode(ids, { skipSpecialTokens: true }) };
}
