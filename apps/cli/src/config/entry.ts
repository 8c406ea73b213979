/** Where a value of the config comes from. */
export type Origin =
  | { readonly kind: 'default' }
  /** Taken from something else: the model, another key. */
  | { readonly kind: 'derived'; readonly from: string }
  | { readonly kind: 'file'; readonly file: string; readonly line: number; readonly column: number }
  | { readonly kind: 'flag'; readonly flag: string }
  | { readonly kind: 'set'; readonly text: string };

/** One value, at its path of keys. */
export interface Entry {
  readonly path: readonly string[];
  readonly value: unknown;
  readonly origin: Origin;
}

/** Something wrong at a place, as a line for people. */
export interface ConfigProblem {
  readonly origin: Origin;
  readonly message: string;
}

export function originText(origin: Origin): string {
  switch (origin.kind) {
    case 'default':
      return 'default';
    case 'derived':
      return origin.from;
    case 'file':
      return `${origin.file}:${origin.line}:${origin.column}`;
    case 'flag':
      return origin.flag;
    case 'set':
      return `--set ${origin.text}`;
  }
}

/** How a value is called in a complaint: by its flag where one gave it, else by its key, with its place. */
export function calledOf(origins: ReadonlyMap<string, Origin>): (key: string, flag: string) => string {
  return (key, flag) => {
    const origin = origins.get(key);
    if (origin?.kind === 'flag') return origin.flag;
    return origin?.kind === 'file' || origin?.kind === 'set' ? `${originText(origin)}: \`${key}\`` : flag;
  };
}

export const pathText = (path: readonly string[]): string => path.join('.');

export const quoted = (names: readonly string[]): string => names.map((name) => `\`${name}\``).join(', ');
