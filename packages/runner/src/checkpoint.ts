import { readdirSync } from 'node:fs';
import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { ObjectiveState } from '@kelpie/objectives';
import { KelpieError, type Policy } from '@kelpie/policy';
import {
  canonical,
  hashFile,
  hashOf,
  leftover,
  messageOf,
  removeFolderWhole,
  writeFolderWhole,
  writeWhole,
} from './files.js';
import type { Snapshot } from './verdict.js';

/** What a loop needs to go on, apart from what the policy keeps. */
export interface LoopState {
  /** Steps done. */
  readonly step: number;
  /** All that decides on the result. */
  readonly config: Readonly<Record<string, unknown>>;
  /** Last digits may depend on it. */
  readonly threads: number;
  /** What was measured before the first update. */
  readonly before: Snapshot;
  /** Of an objective that has one. */
  readonly objectiveState?: ObjectiveState;
  /** What a loop keeps besides, as plain JSON. */
  readonly own?: Readonly<Record<string, unknown>>;
}

interface Stored extends LoopState {
  readonly format: typeof format;
  readonly configHash: string;
  /** sha256 of the policy's state beside it, and of the critic's, where there is one. */
  readonly policyState: string;
  readonly criticState?: string;
}

export interface Checkpoint {
  readonly folder: string;
  /** The policy's part: for `policy.restoreState`. */
  readonly policyFile: string;
  /** The same of a critic apart from it. */
  readonly criticFile?: string;
  readonly state: LoopState;
}

const format = 'kelpie-checkpoint/1';
const name = /^step-(\d{6,})$/;
const policyName = 'policy.safetensors';
const criticName = 'critic.safetensors';
const loopName = 'loop.json';

/** Writes `folder/step-000123`, whole or not at all, and removes all but the newest `keep`. */
export async function saveCheckpoint(
  folder: string,
  {
    policy,
    critic,
    state,
    keep,
  }: { readonly policy: Policy; readonly critic?: Policy; readonly state: LoopState; readonly keep: number },
): Promise<string> {
  const target = join(folder, `step-${String(state.step).padStart(6, '0')}`);
  await writeFolderWhole(target, async (temporary) => {
    const saved = async (of: Policy, file: string) => {
      await of.saveState(join(temporary, file));
      return hashFile(join(temporary, file));
    };
    const configHash = hashOf(canonical(state.config));
    const policyState = await saved(policy, policyName);
    const criticState = critic && (await saved(critic, criticName));
    const stored: Stored = { format, ...state, configHash, policyState, ...(criticState && { criticState }) };
    await writeWhole(join(temporary, loopName), `${JSON.stringify(stored, null, 2)}\n`);
  });
  for (const old of stepsOf(folder).slice(keep)) await removeFolderWhole(join(folder, old));
  for (const entry of await readdir(folder))
    if (leftover.test(entry)) await rm(join(folder, entry), { recursive: true });
  return target;
}

/** Checkpoints of a folder by name, the newest first, whole or not. */
export function stepsOf(folder: string): string[] {
  const step = (entry: string) => Number(name.exec(entry)?.[1]);
  return namesIn(folder)
    .filter((entry) => name.test(entry))
    .sort((a, b) => step(b) - step(a));
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

/** The newest whole checkpoint of a folder, if it has any; each that is not whole is told. Throws if none of several is. */
export async function findCheckpoint(
  folder: string,
  onWarning: (message: string) => void = () => {},
): Promise<Checkpoint | undefined> {
  const passedOver: string[] = [];
  for (const entry of stepsOf(folder)) {
    const at = join(folder, entry);
    const policyFile = join(at, policyName);
    try {
      const {
        format: found,
        policyState,
        criticState,
        configHash,
        ...state
      } = JSON.parse(await readFile(join(at, loopName), 'utf8')) as Stored;
      if (found !== format) throw new Error(`its format is ${JSON.stringify(found)}, not ${format}`);
      if (hashOf(canonical(state.config)) !== configHash) throw new Error(`the config in ${loopName} was changed`);
      if ((await hashFile(policyFile)) !== policyState) throw new Error(`${policyName} is damaged`);
      const criticFile = join(at, criticName);
      if (criticState !== undefined && (await hashFile(criticFile)) !== criticState)
        throw new Error(`${criticName} is damaged`);
      for (const message of passedOver) onWarning(message);
      return { folder: at, policyFile, ...(criticState !== undefined && { criticFile }), state };
    } catch (error) {
      passedOver.push(`the checkpoint ${at} is passed over: ${messageOf(error)}`);
    }
  }
  if (passedOver.length === 0) return undefined;
  throw new KelpieError(
    `no checkpoint is whole, so the run cannot go on:\n${passedOver.map((message) => `  ${message}`).join('\n')}\nBegin in another folder, or remove this one first.`,
    { code: 'checkpoints-damaged', where: { folder } },
  );
}

/** Options that decide on what is measured and shown, not on the model. */
const measuring = ['options.evaluateEvery', 'options.samplePrompts', 'options.sampleTokens'];

/** Options that decide on nothing but the end, where the learning rate does not depend on it. */
const ending = ['options.epochs', 'options.maxSteps', 'options.steps'];

/** What a hash in the config stands for. */
const hashes: Readonly<Record<string, string>> = {
  examples: 'the rows differ',
  prompts: 'the prompts differ',
  heldout: 'the held-out rows differ',
  model: 'the weights that it starts from differ',
  reference: "the reference's weights differ",
  critic: 'the critic that it starts from differs',
  tokenizer: 'the tokenizer differs',
};

/** Refuses a checkpoint of another config, or behind the run's end; the message says what differs. */
export function requireSameConfig(
  { folder, state }: Checkpoint,
  config: Readonly<Record<string, unknown>>,
  { steps = Number.POSITIVE_INFINITY }: { readonly steps?: number } = {},
): void {
  const constant = [state.config, config].every(
    ({ options }) => (options as { schedule?: unknown } | undefined)?.schedule === 'constant',
  );
  const free = [...measuring, ...(constant ? ending : [])];
  const found = differences(state.config, config).filter(({ key }) => !free.includes(key));
  const list = found.map(({ key, a, b }) =>
    Object.hasOwn(hashes, key) ? `  ${hashes[key]}` : `  \`${key}\`: ${show(a)} in the checkpoint, ${show(b)} now`,
  );
  const [first] = found;
  if (first !== undefined) {
    throw new KelpieError(
      `the run cannot go on from its checkpoint, which was made otherwise:\n${list.join('\n')}\nUse the same values, or another folder.`,
      { code: 'config-differs', where: { folder, key: first.key } },
    );
  }
  if (state.step <= steps) return;
  throw new KelpieError(`the checkpoint is of step ${state.step}, behind the end of a run of ${steps}`, {
    code: 'config-differs',
    where: { folder, key: Object.hasOwn(Object(config.options), 'steps') ? 'options.steps' : 'options.maxSteps' },
  });
}

interface Difference {
  readonly key: string;
  readonly a: unknown;
  readonly b: unknown;
}

function differences(a: unknown, b: unknown, key = ''): Difference[] {
  if (canonical(a) === canonical(b)) return [];
  if (!isTable(a) || !isTable(b)) return [{ key, a, b }];
  const keys = [...new Set([...Object.keys(a), ...Object.keys(b)])].sort();
  return keys.flatMap((inner) => differences(a[inner], b[inner], key === '' ? inner : `${key}.${inner}`));
}

function isTable(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function show(value: unknown): string {
  return value === undefined ? 'absent' : JSON.stringify(value);
}
