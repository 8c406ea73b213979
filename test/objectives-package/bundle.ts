import { createContext, runInContext } from 'node:vm';
import { build, type Rollup } from 'vite';
import type { Project } from './project.js';

export interface Bundle {
  readonly code: string;
  /** Bytes that are left of each module that is not empty, by its path behind `node_modules/`. */
  readonly modules: ReadonlyMap<string, number>;
  readonly bytes: number;
}

/** A project's entry as one script for a browser, not minified; what it exports is the global `bundle`. */
export async function bundled(project: Project, entry: string): Promise<Bundle> {
  const file = project.write('app/entry.js', entry);
  const output = await build({
    root: project.at(),
    configFile: false,
    logLevel: 'silent',
    build: { write: false, minify: false, lib: { entry: file, formats: ['iife'], name: 'bundle' } },
  });
  const [first] = [output].flat() as Rollup.RollupOutput[];
  const [chunk] = first!.output;
  const { code, modules } = chunk;
  const left = Object.entries(modules).filter(([, { renderedLength }]) => renderedLength > 0);
  return {
    code,
    modules: new Map(left.map(([path, { renderedLength }]) => [path.split('/node_modules/').at(-1)!, renderedLength])),
    bytes: Buffer.byteLength(code),
  };
}

/** Runs a script and then an expression where there is nothing but the language: no `process`, `Buffer` or `require`. */
export function inBareContext<T>(code: string, expression: string): T {
  const context = createContext({});
  runInContext(code, context);
  return JSON.parse(runInContext(`JSON.stringify(${expression})`, context) as string) as T;
}
