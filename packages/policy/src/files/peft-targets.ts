import { KelpieError, messageOf, nearestNames } from '../errors.js';
import type { PeftConfig } from './peft-config.js';

/** A linear layer of the base model, y = W x. */
export interface LinearModule {
  /** The module's name as in the checkpoint, without `.weight`: `model.layers.0.self_attn.q_proj`. */
  readonly name: string;
  readonly inFeatures: number;
  readonly outFeatures: number;
  /** The weight is stored [in, out] (GPT-2's Conv1D). */
  readonly transposed: boolean;
  /** The output head, which `all-linear` leaves alone. */
  readonly head?: boolean;
}

export interface LoraTarget {
  readonly module: LinearModule;
  readonly rank: number;
  readonly alpha: number;
  /** Of B A x: alpha / rank, or alpha / sqrt(rank) with rslora. */
  readonly scaling: number;
}

/**
 * The modules that an adapter changes, by the rules of peft 0.21.2: an entry of a list is a whole name or the end of one
 * behind a dot; a string is a regular expression over whole names; `layers_to_transform` counts for endings alone.
 * `unmatched` are entries of a list that no module answers to, which peft lets pass.
 */
export function resolveTargets(
  config: PeftConfig,
  modules: readonly LinearModule[],
  file = 'adapter_config.json',
): { targets: LoraTarget[]; unmatched: string[] } {
  const { targetModules } = config;
  const matches = matcher(config, file);
  const ranks = patterns(config.rankPattern, 'rank_pattern', file);
  const alphas = patterns(config.alphaPattern, 'alpha_pattern', file);
  const targets = modules.filter(matches).map((module) => {
    const rank = ranks(module.name) ?? config.r;
    const alpha = alphas(module.name) ?? config.loraAlpha;
    return { module, rank, alpha, scaling: alpha / (config.useRslora ? Math.sqrt(rank) : rank) };
  });
  if (targets.length === 0) {
    const [wanted] = typeof targetModules === 'string' ? [targetModules] : targetModules;
    const endings = new Set(modules.map(({ name }) => name.slice(name.lastIndexOf('.') + 1)));
    throw new KelpieError(
      `no linear layer answers to ${JSON.stringify(targetModules)}; nearest: ${nearestNames(wanted ?? '', endings)
        .map((n) => `\`${n}\``)
        .join(', ')}`,
      { code: 'peft-targets', where: { file, key: 'target_modules' } },
    );
  }
  const list = typeof targetModules === 'string' ? [] : targetModules;
  return { targets, unmatched: list.filter((entry) => !modules.some(({ name }) => isOrEndsWith(name, entry))) };
}

function matcher(config: PeftConfig, file: string): (module: LinearModule) => boolean {
  const { targetModules, excludeModules, layersToTransform } = config;
  const excluded = excludeModules === undefined ? () => false : nameMatcher(excludeModules, 'exclude_modules', file);
  if (typeof targetModules === 'string') {
    if (targetModules.toLowerCase() === 'all-linear') return (module) => module.head !== true && !excluded(module.name);
    const included = nameMatcher(targetModules, 'target_modules', file);
    return ({ name }) => included(name) && !excluded(name);
  }
  const inLayers =
    layersToTransform === undefined ? () => true : layerMatcher(layersToTransform, config.layersPattern, file);
  return ({ name }) =>
    !excluded(name) &&
    (targetModules.includes(name) || (targetModules.some((entry) => isOrEndsWith(name, entry)) && inLayers(name)));
}

function layerMatcher(layers: readonly number[], layersPattern: readonly string[] | undefined, file: string) {
  const expressions =
    layersPattern === undefined
      ? [/^.*?\.[^.]*\.(\d+)\./]
      : layersPattern.map((pattern) =>
          expression(`^(?:|.*?\\.)(?:${pattern})\\.(?<idx>\\d+)\\.`, 'layers_pattern', file),
        );
  return (name: string): boolean => {
    const match = expressions.map((e) => e.exec(name)).find((m) => m !== null);
    const index = match?.groups?.idx ?? match?.[1];
    return index !== undefined && layers.includes(Number(index));
  };
}

function nameMatcher(names: readonly string[] | string, key: string, file: string): (name: string) => boolean {
  if (typeof names !== 'string') return (name) => names.some((entry) => isOrEndsWith(name, entry));
  const whole = expression(`^(?:${names})$`, key, file);
  return (name) => whole.test(name);
}

function patterns(pattern: Readonly<Record<string, number>>, key: string, file: string) {
  const entries = Object.entries(pattern).map(([source, value]) => {
    // peft's own: a key may begin with `^`, which holds where the optional prefix is empty.
    return { value, matches: expression(`^(.*\\.)?(${source})$`, `${key}.${source}`, file) };
  });
  return (name: string): number | undefined => entries.find(({ matches }) => matches.test(name))?.value;
}

/** Python's regular expressions are JavaScript's, but for named groups and the anchors of the whole text. */
function expression(source: string, key: string, file: string): RegExp {
  const translated = source.replaceAll('(?P<', '(?<').replaceAll('\\A', '^').replaceAll('\\Z', '$');
  try {
    return new RegExp(translated);
  } catch (error) {
    throw new KelpieError(`expected a regular expression over module names: ${messageOf(error)}`, {
      code: 'peft-config',
      where: { file, key },
      cause: error,
    });
  }
}

function isOrEndsWith(name: string, entry: string): boolean {
  return name === entry || name.endsWith(`.${entry}`);
}
