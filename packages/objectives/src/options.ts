import { z } from 'zod';
import { nearest, type Problem, throwIfAny } from './errors.js';

/** One option as flags, config schemas and tables show it. */
export interface OptionInfo {
  readonly name: string;
  readonly type: 'number' | 'integer' | 'boolean' | 'string' | 'choice' | 'other';
  readonly default: unknown;
  readonly description: string;
  /** `> 0`, `[0, 0.5)`, `tokens | rows`: what values are allowed, as text; empty if any of the type is. */
  readonly range: string;
  /** Of a `choice`. */
  readonly values?: readonly string[];
  readonly min?: number;
  readonly max?: number;
  readonly exclusiveMin?: boolean;
  readonly exclusiveMax?: boolean;
}

/** What zod's JSON schema says of one option; only the keys read here. */
interface PropertySchema {
  readonly type?: string;
  readonly default?: unknown;
  readonly description?: string;
  readonly enum?: readonly string[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: number;
  readonly exclusiveMaximum?: number;
}

/** The options of a schema, in the order they are declared. */
export function describeOptions(schema: z.ZodObject): OptionInfo[] {
  const properties = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }).properties ?? {};
  return Object.entries(properties as Record<string, PropertySchema>).map(([name, property]) =>
    describe(name, property),
  );
}

function describe(name: string, property: PropertySchema): OptionInfo {
  const min = bound(property.exclusiveMinimum ?? property.minimum);
  const max = bound(property.exclusiveMaximum ?? property.maximum);
  const info: Omit<OptionInfo, 'range'> = {
    name,
    type: typeOf(property),
    default: property.default,
    description: property.description ?? '',
    ...(property.enum && { values: property.enum }),
    ...(min !== undefined && { min, exclusiveMin: property.exclusiveMinimum !== undefined }),
    ...(max !== undefined && { max, exclusiveMax: property.exclusiveMaximum !== undefined }),
  };
  return { ...info, range: rangeOf(info) };
}

function typeOf({ type, enum: values }: PropertySchema): OptionInfo['type'] {
  if (values) return 'choice';
  return type === 'number' || type === 'integer' || type === 'boolean' || type === 'string' ? type : 'other';
}

/** zod bounds every integer by the safe ones; that is no choice of ours to show. */
function bound(value: number | undefined): number | undefined {
  return value !== undefined && Math.abs(value) < Number.MAX_SAFE_INTEGER ? value : undefined;
}

function rangeOf({ values, min, max, exclusiveMin, exclusiveMax }: Omit<OptionInfo, 'range'>): string {
  if (values) return values.join(' | ');
  if (min !== undefined && max !== undefined) {
    return `${exclusiveMin ? '(' : '['}${min}, ${max}${exclusiveMax ? ')' : ']'}`;
  }
  if (min !== undefined) return `${exclusiveMin ? '>' : '>='} ${min}`;
  if (max !== undefined) return `${exclusiveMax ? '<' : '<='} ${max}`;
  return '';
}

/** Options with defaults filled in, or an `ObjectiveError` that names each one wrong and the nearest valid names. */
export function parseOptions<Shape extends z.ZodRawShape>(
  schema: z.ZodObject<Shape>,
  options: object,
  objective: string,
): z.output<z.ZodObject<Shape>> {
  const result = schema.safeParse(options);
  if (result.success) return result.data;
  const infos = describeOptions(schema as z.ZodObject);
  throwIfAny(result.error.issues.flatMap((issue) => problemsOf(issue, options, infos, objective)));
  throw result.error;
}

function problemsOf(issue: z.core.$ZodIssue, options: object, infos: OptionInfo[], objective: string): Problem[] {
  const names = infos.map(({ name }) => name);
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((option) => ({
      code: 'unknown-option',
      where: { objective, option },
      expected: names.length > 0 ? 'the name of an option' : 'no options',
      received: `\`${option}\``,
      ...(names.length > 0 && {
        hint: `Did you mean ${nearest(option, names)
          .map((name) => `\`${name}\``)
          .join(', ')}?`,
      }),
    }));
  }
  const option = String(issue.path[0] ?? '');
  const info = infos.find(({ name }) => name === option);
  const expected = info ? `${info.type} ${info.range}`.trim() : issue.message;
  const received = shown((options as Record<string, unknown>)[option]);
  const hint = info ? `The default is ${JSON.stringify(info.default)}.` : issue.message;
  return [{ code: 'invalid-option', where: { objective, option }, expected, received, hint }];
}

/** As JSON, but for numbers that it has none for. */
function shown(value: unknown): string {
  return typeof value === 'number' ? String(value) : (JSON.stringify(value) ?? String(value));
}
