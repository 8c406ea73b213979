import type { Objective } from '@kelpie/objectives';
import type { Tokenizer } from '@kelpie/policy';
import { stringify } from 'yaml';
import { type Origin, originText } from './config/entry.js';
import { keysOf, type OnlineConfig, type RunConfig, type StartConfig } from './config/schema.js';
import { type Terminal, wrap } from './print.js';
import { alphaOf, tokenizerFolder } from './start.js';

type Derived = [key: string, origin: Origin];

/** Where a value comes from that no key gives. */
export function derivedFrom(key: string, value: unknown, text: string): Derived[] {
  return value === undefined ? [[key, { kind: 'derived', from: text }]] : [];
}

/** Of what both kinds of runs have: values that the model or another key decides on. */
export function startOrigins({ model, lora }: StartConfig): Derived[] {
  return [
    ...derivedFrom('model.tokenizer', model.tokenizer, "the model's folder"),
    ...derivedFrom('model.threads', model.threads, 'one a core'),
    ...(lora.rank === undefined
      ? []
      : [
          ...derivedFrom('lora.alpha', lora.alpha, 'twice the rank'),
          ...derivedFrom('lora.targets', lora.targets, 'all but the head'),
        ]),
  ];
}

/** The same as values. */
export function startValues(config: StartConfig, { threads }: { readonly threads: number }): Record<string, unknown> {
  return {
    'model.tokenizer': tokenizerFolder(config),
    'model.threads': threads,
    'lora.alpha': alphaOf(config.lora),
    'lora.targets': 'all-linear',
  };
}

/** The whole config as a file that could be given again, each value with where it comes from. */
export function configText(
  objective: Objective,
  config: RunConfig | OnlineConfig,
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

/** Pieces with a space between them; a `·` is a space of the text's own. */
export function pieces(ids: readonly number[], tokenizer: Tokenizer): string {
  const texts = ids.slice(0, shownPieces).map((id) => tokenizer.decode([id]).replaceAll('\n', '\\n'));
  const shown = texts.map((text) => text.replaceAll(' ', '·'));
  if (ids.length > shownPieces) shown.push(`and ${ids.length - shownPieces} more`);
  return shown.join(' ');
}

/** A line of a row's tokens, with what they are and how many. */
export function tokenLine({ color, width }: Terminal, label: string, count: number, text: string): string {
  const head = `  ${label.padEnd(18)}${`${count}`.padStart(5)} tokens  `;
  return `${color.dim(head)}${wrap(text, width - head.length, ' '.repeat(head.length))}`;
}
