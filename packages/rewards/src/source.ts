import { nearestNames } from '@kelpie/policy';
import { z } from 'zod';
import { RewardError, show } from './error.js';
import type { Reward } from './reward.js';

type Shape = z.ZodRawShape;
type Named = { readonly name: string };

interface SourceDefinition<S extends Shape, Opened extends Reward | Promise<Reward>> {
  readonly name: string;
  /** One line, for tables and help. */
  readonly summary: string;
  readonly options: S;
  open(options: z.output<z.ZodObject<S>> & Named): Opened;
}

/** A kind of reward with its options, from which flags, schemas and tables can be made. */
export interface Source<S extends Shape = Shape, Opened extends Reward | Promise<Reward> = Reward | Promise<Reward>> {
  readonly name: string;
  readonly summary: string;
  /** With `name`, which every reward has: by default its source's. */
  readonly options: z.ZodObject<S & { name: z.ZodDefault<z.ZodString> }>;
  open(options: z.input<z.ZodObject<S>> & Partial<Named>): Opened;
}

export function defineSource<S extends Shape, Opened extends Reward | Promise<Reward>>({
  name,
  summary,
  options,
  open,
}: SourceDefinition<S, Opened>): Source<S, Opened> {
  const called = z.string().min(1).default(name).describe('What it is called in parts, logs and errors.');
  const schema = z.strictObject({ ...options, name: called });
  return {
    name,
    summary,
    options: schema as unknown as Source<S>['options'],
    open(input) {
      const parsed = schema.safeParse(input);
      if (!parsed.success) throw optionsRefused(name, parsed.error, Object.keys(schema.shape), input);
      return open(parsed.data as unknown as z.output<z.ZodObject<S>> & Named);
    },
  };
}

function optionsRefused(reward: string, { issues }: z.ZodError, known: readonly string[], input: unknown): RewardError {
  const lines = issues.flatMap((issue) => {
    if (issue.code === 'unrecognized_keys')
      return issue.keys.map(
        (key) => `option \`${key}\`: there is none; nearest: ${nearestNames(key, known).join(', ')}`,
      );
    const value = issue.path.reduce<unknown>(
      (at, key) => (at as Record<PropertyKey, unknown> | undefined)?.[key],
      input,
    );
    return [`option \`${issue.path.join('.')}\`: ${issue.message}, got ${show(value)}`];
  });
  return new RewardError(`reward \`${reward}\`: ${lines.join('\n')}`, { code: 'bad-option', reward });
}
