import { createHash } from 'node:crypto';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { relative, resolve } from 'node:path';
import * as objectives from '@kelpie/objectives';
import { type Objective, ObjectiveError } from '@kelpie/objectives';
import { createJiti, type Jiti } from 'jiti';
import * as zod from 'zod';
import { UsageError } from './exit.js';

/** Where an objective of a user's own was read. */
export interface ObjectiveSource {
  /** As it was called: `./mine.ts`, or `./mine.ts#margin-dpo`. */
  readonly called: string;
  /** Its absolute path. */
  readonly file: string;
  /** sha256 of the file, and of the files it imports from beside it. */
  readonly hash: string;
}

export type CustomObjective = Objective & { readonly source: ObjectiveSource };

const FILE = /^(?<path>.*\.[cm]?[jt]s)(?:#(?<name>[^#]+))?$/;

/** A file, rather than the name of an objective. */
export const isObjectiveFile = (called: string): boolean => FILE.test(called);

export function sourceOf(objective: Objective): ObjectiveSource | undefined {
  return (objective as Partial<CustomObjective>).source;
}

/** What a config calls an objective: its name, or the file it is in. */
export const calledName = (objective: Objective): string => sourceOf(objective)?.called ?? objective.name;

/** Whether a config that says `value` means this objective. */
export function isCalled(value: unknown, objective: Objective): boolean {
  const source = sourceOf(objective);
  if (source === undefined || typeof value !== 'string') return value === objective.name;
  const { path = '', name = objective.name } = FILE.exec(value)?.groups ?? {};
  return resolve(path) === source.file && name === (FILE.exec(source.called)?.groups?.name ?? objective.name);
}

/**
 * The objective of a TypeScript or JavaScript module: its default export, its only one, or the one that is named behind
 * the path, `./mine.ts#margin-dpo`. What it imports from `@kelpie/objectives`, any entry of it, and `zod` is this
 * program's own, so that the file may lie anywhere. Types are taken away, not checked. Throws a `UsageError` that says file and line.
 */
export async function loadObjective(called: string): Promise<CustomObjective> {
  const { path = called, name } = FILE.exec(called)?.groups ?? {};
  const file = resolve(path);
  if (!existsSync(file)) throw new UsageError(`there is no file \`${path}\``);
  if (!statSync(file).isFile()) throw new UsageError(`\`${path}\` is no file: name one that exports an objective`);
  const { exported, files } = await evaluated(file);
  const objective = choose(exported, { path, name });
  requireDeclared(objective, path);
  return { ...placed(objective, files), source: { called, file, hash: hashOf(files) } };
}

/** What a file gets of this program by name. */
async function ownModules(): Promise<Record<string, unknown>> {
  const [certify, enumerable, testing] = await Promise.all([
    import('@kelpie/objectives/certify'),
    import('@kelpie/objectives/enumerable'),
    import('@kelpie/objectives/testing'),
  ]);
  return {
    '@kelpie/objectives': objectives,
    '@kelpie/objectives/certify': certify,
    '@kelpie/objectives/enumerable': enumerable,
    '@kelpie/objectives/testing': testing,
    zod,
    'zod/v4': zod,
  };
}

/** What a module exports, and the files it is made of, itself first. */
async function evaluated(file: string): Promise<{ exported: Record<string, unknown>; files: readonly string[] }> {
  const virtualModules = await ownModules();
  const jiti = createJiti(import.meta.url, { virtualModules, fsCache: false, interopDefault: false });
  const before = new Set(Object.keys(jiti.cache));
  try {
    const exported = await jiti.import<Record<string, unknown>>(file);
    return { exported, files: newFiles(jiti, before, file) };
  } catch (error) {
    throw told(error, newFiles(jiti, before, file));
  } finally {
    // The next call reads the file anew.
    for (const key of newFiles(jiti, before, file)) delete jiti.cache[key];
  }
}

function newFiles({ cache }: Jiti, before: ReadonlySet<string>, file: string): string[] {
  const own = Object.keys(cache).filter((key) => !before.has(key) && !/[\\/]node_modules[\\/]/.test(key));
  return [...new Set([file, ...own.sort()])];
}

function hashOf(files: readonly string[]): string {
  const hash = createHash('sha256');
  for (const file of files) hash.update(readFileSync(file)).update('\0');
  return hash.digest('hex');
}

interface Choice {
  readonly path: string;
  readonly name: string | undefined;
}

function choose(exported: Readonly<Record<string, unknown>>, { path, name }: Choice): Objective {
  const found = Object.entries(exported).flatMap(([as, value]) =>
    isObjective(value) ? [{ as, objective: value }] : [],
  );
  const all = [...new Set(found.map(({ objective }) => objective))];
  const names = all.map((objective) => `\`${path}#${objective.name}\``).join(', ');
  if (all.length === 0) throw new UsageError(`\`${path}\` exports no objective: export what \`defineObjective\` gives`);
  if (name !== undefined) {
    const named = found.find(({ as, objective }) => objective.name === name || as === name);
    if (named === undefined) throw new UsageError(`\`${path}\` exports no objective \`${name}\`; there is ${names}`);
    return named.objective;
  }
  const chosen = found.find(({ as }) => as === 'default')?.objective ?? (all.length === 1 ? all[0] : undefined);
  if (chosen === undefined) throw new UsageError(`\`${path}\` exports ${all.length} objectives: say which, ${names}`);
  return chosen;
}

/** What types would ask for: nothing has checked them. */
const declared = zod.looseObject({
  name: zod.string().regex(/^[a-z][a-z0-9]*(-[a-z0-9]+)*$/, {
    error: ({ input }) => `expected small letters, digits and dashes, as \`margin-dpo\`, got \`${input}\``,
  }),
  title: zod.string(),
  summary: zod.string(),
  paper: zod.string(),
  rows: zod.enum(['single', 'pairs', 'unpaired', 'groups']),
  separable: zod.boolean(),
  needs: zod.looseObject({ policy: zod.array(zod.string()), reference: zod.array(zod.string()) }),
});

function requireDeclared(objective: Objective, path: string): void {
  const { error } = declared.safeParse(objective);
  if (error === undefined) return;
  const lines = error.issues.map((issue) => `\`${path}\`: \`${issue.path.join('.')}\`: ${issue.message}`);
  throw new UsageError(lines.join('\n'));
}

function isObjective(value: unknown): value is Objective {
  const methods = ['evaluate', 'needsOf', 'resolveOptions', 'describeOptions'] as const;
  if (typeof value !== 'object' || value === null) return false;
  return methods.every((method) => typeof (value as Partial<Objective>)[method] === 'function');
}

/** What the file's own code throws says its line. */
function placed(objective: Objective, files: readonly string[]): Objective {
  const guarded =
    <Args extends readonly unknown[], Result>(run: (...args: Args) => Result) =>
    (...args: Args): Result => {
      try {
        return run(...args);
      } catch (error) {
        if (error instanceof ObjectiveError) throw error;
        throw told(error, files);
      }
    };
  return {
    ...objective,
    evaluate: guarded((...args) => objective.evaluate(...args)),
    needsOf: guarded((...args) => objective.needsOf(...args)),
    ...(objective.atReference && { atReference: guarded((options) => objective.atReference?.(options)) }),
    ...(objective.claims && { claims: guarded((options) => objective.claims?.(options) ?? {}) }),
  };
}

/** From the working folder, where it is below it. */
function shown(file: string): string {
  const path = relative('', file);
  return path.startsWith('..') ? file : path;
}

/** An error of the file as one that says its line. */
function told(error: unknown, files: readonly string[]): UsageError {
  const { message, stack = '' } = error instanceof Error ? error : new Error(String(error));
  const syntax = /^ParseError: (?<what>[^\n]*?)\s*\n\s*(?<file>.*):(?<line>\d+):(?<column>\d+)$/.exec(message)?.groups;
  if (syntax !== undefined) {
    const { what, file = '', line, column } = syntax;
    const text = readFileSync(file, 'utf8').split('\n')[Number(line) - 1] ?? '';
    return new UsageError(`${shown(file)}:${line}:${Number(column) + 1}: ${what}\n  ${text.trim()}`, { cause: error });
  }
  const frames = stack.split('\n').flatMap((frame) => {
    const file = files.find((one) => frame.includes(`${one}:`));
    const line = file && /^:(\d+)/.exec(frame.slice(frame.indexOf(`${file}:`) + file.length))?.[1];
    return line === undefined ? [] : [`${shown(file!)}:${line}`];
  });
  const what = message.replace(/\nRequire stack:[\s\S]*/, '');
  return new UsageError(`${frames[0] ?? shown(files[0]!)}: ${what}`, { cause: error });
}
