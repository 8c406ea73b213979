import { InvalidArgumentError, Option } from '@commander-js/extra-typings';
import { z } from 'zod';

/** What zod's JSON schema says of one option; only the keys read here. */
export interface Property {
  readonly type?: string;
  readonly default?: unknown;
  readonly description?: string;
  readonly enum?: readonly string[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: number;
  readonly exclusiveMaximum?: number;
}

export interface FlagSet {
  readonly flags: readonly Option[];
  /** The schema's options out of what commander parsed; what was not given is left to the schema's defaults. */
  pick(parsed: Readonly<Record<string, unknown>>): Record<string, unknown>;
}

export interface FlagOptions {
  /** Heading in the help. */
  readonly group: string;
  /** Options that other flags stand for. */
  readonly except?: readonly string[];
  /** Flags of other names: `{ heldout: 'heldout-fraction' }`. */
  readonly rename?: Readonly<Record<string, string>>;
}

/** A flag for each option of a zod object: type, range, choices, default and description are the schema's. */
export function flagsOf(schema: z.ZodObject, { group, except = [], rename = {} }: FlagOptions): FlagSet {
  const properties = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }).properties ?? {};
  const made = Object.entries(properties as Record<string, Property>)
    .filter(([name]) => !except.includes(name))
    .map(([name, property]) => ({ name, option: flagOf(rename[name] ?? kebab(name), property).helpGroup(group) }));
  return {
    flags: made.map(({ option }) => option),
    pick: (parsed) =>
      Object.fromEntries(
        made.flatMap(({ name, option }) => {
          const value = parsed[option.attributeName()];
          return value === undefined ? [] : [[name, value]];
        }),
      ),
  };
}

function flagOf(flag: string, property: Property): Option {
  const { default: preset, description = '', enum: choices } = property;
  // Lower-case and without a full stop, like the flags written by hand.
  const text = description.replace(/\.$/, '').replace(/^[A-Z](?=[a-z]*\b)/, (first) => first.toLowerCase());
  if (property.type === 'boolean') {
    const option = new Option(
      preset === true ? `--no-${flag}` : `--${flag}`,
      preset === true ? `turns off: ${text}` : text,
    );
    return option as unknown as Option;
  }
  const numeric = property.type === 'number' || property.type === 'integer';
  const option: Option = new Option(
    `--${flag} ${choices ? `<${placeholder(choices)}>` : numeric ? '<n>' : '<text>'}`,
    text,
  );
  if (choices) option.choices(choices);
  if (numeric) option.argParser((value: string) => parseNumber(value, property));
  if (preset !== undefined) option.default(preset);
  return option;
}

const placeholder = (choices: readonly string[]) => (choices.join('|').length <= 12 ? choices.join('|') : 'name');

function parseNumber(text: string, property: Property): number {
  const value = text.trim() === '' ? Number.NaN : Number(text);
  const fits = [
    !Number.isNaN(value),
    property.type !== 'integer' || Number.isInteger(value),
    value >= (property.minimum ?? -Infinity),
    value <= (property.maximum ?? Infinity),
    value > (property.exclusiveMinimum ?? -Infinity),
    value < (property.exclusiveMaximum ?? Infinity),
  ].every(Boolean);
  if (!fits) throw new InvalidArgumentError(`Expected ${expected(property)}.`);
  return value;
}

export function expected({ type, minimum, maximum, exclusiveMinimum, exclusiveMaximum }: Property): string {
  // zod bounds integers by the safe ones; nobody wants to read that.
  const shown = (bound: number | undefined) => bound !== undefined && Math.abs(bound) < Number.MAX_SAFE_INTEGER;
  const limits = [
    shown(minimum) && `from ${minimum}`,
    shown(exclusiveMinimum) && `above ${exclusiveMinimum}`,
    shown(maximum) && `up to ${maximum}`,
    shown(exclusiveMaximum) && `below ${exclusiveMaximum}`,
  ].filter((limit) => limit !== false);
  const kind = type === 'integer' ? 'a whole number' : 'a number';
  return limits.length === 0 ? kind : `${kind} ${limits.join(', ')}`;
}

/** What the help says of an option: its choices only where the flag itself does not show them. */
export function optionHelp({ description, argChoices, defaultValue, defaultValueDescription, flags }: Option): string {
  const choices = argChoices?.every((choice) => flags.includes(choice)) === false ? [argChoices.join(', ')] : [];
  const preset =
    defaultValueDescription ?? (typeof defaultValue === 'boolean' ? undefined : shownDefault(defaultValue));
  const notes = [...choices, ...(preset === undefined ? [] : [`default: ${preset}`])];
  return notes.length === 0 ? description : `${description} (${notes.join('; ')})`;
}

function shownDefault(value: unknown): string | undefined {
  if (value === undefined) return undefined;
  return typeof value === 'number' && value !== 0 && Math.abs(value) < 1e-4 ? value.toExponential() : String(value);
}

export function kebab(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** For flags written by hand: the same checks as for generated ones. */
export function numberFlag(flags: string, description: string, property: Omit<Property, 'description'> = {}): Option {
  return new Option(flags, description).argParser((value: string) =>
    parseNumber(value, { type: 'number', ...property }),
  );
}

/** Says what holds where a flag is not given and no value of it would mean the same. */
export function unset(option: Option, meaning: string): Option {
  option.default(undefined, meaning);
  return option;
}

export function countFlag(flags: string, description: string, minimum = 1): Option {
  return numberFlag(flags, description, { type: 'integer', minimum });
}
