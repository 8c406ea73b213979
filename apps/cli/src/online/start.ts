import type { Objective } from '@kelpie/objectives';
import { type OpenOptions, openPolicy, type Policy, type Tokenizer } from '@kelpie/policy';
import { holdOut, type OnlineOptionsInput, onlineOptions } from '@kelpie/runner';
import { calledOf } from '../config/entry.js';
import type { Resolved } from '../config/resolve.js';
import type { OnlineConfig } from '../config/schema.js';
import { UsageError } from '../exit.js';
import { requireFolder } from '../model.js';
import { requireOut, requireStart, startOptions } from '../start.js';
import { objectiveOptions } from '../train-parts.js';
import { type LoadedPrompt, loadPrompts } from './prompts.js';

/** Checks what can be checked before anything is opened. */
export function requireOnline(
  { config, origins }: Resolved<OnlineConfig>,
  { resume }: { readonly resume: boolean },
): { readonly prompts: readonly string[]; readonly out: string } {
  const { prompts, rewards, critic } = config.online;
  const called = calledOf(origins);
  requireStart(config, called);
  if (prompts === undefined) throw new UsageError('which prompts? Name a file or more with `--prompts`');
  if (rewards === undefined) throw new UsageError('what is good? Name a reward or more with `--reward`');
  if (critic !== undefined) requireFolder(critic, called('online.critic', '--critic'));
  return { prompts: [prompts].flat(), out: requireOut({ config, origins }, resume) };
}

/** Options of the loop, as the runner takes them. */
export function rolloutOptions({ online, training }: OnlineConfig): OnlineOptionsInput {
  const given = { ...online, ...training } as Readonly<Record<string, unknown>>;
  return Object.fromEntries(Object.keys(onlineOptions.shape).map((name) => [name, given[name]]));
}

/** Where values come from: `beside`, where the objective fits them itself and no critic is named. */
export function scalarHeadOf(objective: Objective, config: OnlineConfig): 'beside' | undefined {
  const { policy } = objective.needsOf(objectiveOptions(config));
  return config.online.critic === undefined && policy.includes('values') ? 'beside' : undefined;
}

export function onlineOpenOptions(objective: Objective, config: OnlineConfig): OpenOptions {
  const scalarHead = scalarHeadOf(objective, config);
  return {
    ...startOptions(config),
    ...(scalarHead && { scalarHead, scalarHeadStd: 0 }),
    keepReference: config.model.reference === undefined && (config.training.syncReferenceEvery > 0 ? 'moving' : true),
  };
}

/** A critic apart: a reward model begins as it judges, a language model at 0 everywhere. */
export async function openCritic({
  online: { critic },
  model: { threads },
}: OnlineConfig): Promise<Policy | undefined> {
  if (critic === undefined) return undefined;
  return openPolicy({
    model: critic,
    scalarHead: 'alone',
    scalarHeadStd: 0,
    ...(threads !== undefined && { threads }),
  });
}

export interface Prompts {
  readonly train: readonly LoadedPrompt[];
  readonly heldout: readonly LoadedPrompt[];
  /** Of all files, each prompt once. */
  readonly count: number;
}

export async function readPrompts(
  { online, training }: OnlineConfig,
  files: readonly string[],
  { policy, tokenizer }: { readonly policy: Pick<Policy, 'info'>; readonly tokenizer: Tokenizer },
): Promise<Prompts> {
  const { contextLength } = policy.info;
  const room = Math.min(online.maxNewTokens, contextLength / 2);
  const source = { tokenizer, field: online.promptField, room, contextLength };
  const all = await loadPrompts({ ...source, files });
  if (online.heldoutPrompts !== undefined) {
    const heldout = await loadPrompts({ ...source, files: [online.heldoutPrompts].flat() });
    return { train: all, heldout, count: all.length + heldout.length };
  }
  const fraction = all.length > 1 ? online.heldoutFraction : 0;
  return { ...holdOut(all, { heldout: fraction, seed: training.seed }), count: all.length };
}
