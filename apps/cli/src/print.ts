import pc from 'picocolors';

/** Where text goes; a process's own streams fit. */
export interface Stream {
  write(text: string): unknown;
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
}

/** What a command has of the outside: handed in, so that tests can read what a user would see. */
export interface Io {
  readonly stdout: Stream;
  readonly stderr: Stream;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Calls the handler at each Ctrl-C until the returned function is called. */
  onInterrupt(handler: () => void): () => void;
  /** Ends the process at once. */
  exit(code: number): void;
}

export type Colors = ReturnType<typeof pc.createColors>;

/** The one place that writes: results to stdout, progress and complaints to stderr, a live line below both. */
export class Terminal {
  /** Colours of stdout, and of stderr: each its own, as either may be a file. */
  readonly color: Colors;
  readonly noteColor: Colors;
  /** Columns of stdout, at most 110: longer lines are hard to read. 80 where it is no terminal. */
  readonly width: number;
  /** Whether a live line can be shown. */
  readonly live: boolean;
  readonly #io: Io;
  #status = '';

  constructor(io: Io) {
    this.#io = io;
    this.color = pc.createColors(colored(io.stdout, io.env));
    this.noteColor = pc.createColors(colored(io.stderr, io.env));
    this.width = Math.min(110, (io.stdout.isTTY === true && io.stdout.columns) || 80);
    this.live = io.stderr.isTTY === true && io.env.TERM !== 'dumb';
  }

  /** Columns a live line may fill. */
  get liveWidth(): number {
    return this.#io.stderr.columns ?? 80;
  }

  print(text = ''): void {
    this.#above(() => this.#io.stdout.write(`${text}\n`));
  }

  note(text: string): void {
    this.#above(() => this.#io.stderr.write(`${text}\n`));
  }

  warn(messages: readonly string[]): void {
    for (const message of messages) this.note(`${this.noteColor.yellow('warning:')} ${message}`);
  }

  /** As it stands, without a line's end: for help texts. */
  raw(text: string, stream: 'stdout' | 'stderr' = 'stdout'): void {
    this.#above(() => this.#io[stream].write(text));
  }

  /** Replaces the live line; empty takes it away. Only where `live`. */
  status(text: string): void {
    if (!this.live || text === this.#status) return;
    this.#io.stderr.write(`\r\u001b[2K${text}`);
    this.#status = text;
  }

  #above(write: () => void): void {
    const status = this.#status;
    this.status('');
    write();
    this.status(status);
  }
}

function colored(stream: Stream, env: Io['env']): boolean {
  if (env.NO_COLOR) return false;
  return stream.isTTY === true && env.TERM !== 'dumb';
}

/** Text in lines of at most `width`, broken at spaces; `indent` comes on top, before each line but the first. */
export function wrap(text: string, width: number, indent = ''): string {
  const lines: string[] = [];
  for (const paragraph of text.split('\n')) {
    let line = '';
    for (const word of paragraph.split(' ')) {
      if (line !== '' && line.length + 1 + word.length > width) {
        lines.push(line);
        line = word;
      } else line = line === '' ? word : `${line} ${word}`;
    }
    lines.push(line);
  }
  return lines.join(`\n${indent}`);
}

export interface Column {
  readonly title: string;
  readonly align?: 'left' | 'right';
}

/** Rows under titles, two spaces between columns. The last column is wrapped into what is left of `width`. */
export function table(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  options: { width: number; color: Colors },
): string {
  const { width, color } = options;
  const last = columns.length - 1;
  const widths = columns.map(({ title }, c) => Math.max(title.length, ...rows.map((row) => (row[c] ?? '').length)));
  const before = widths.slice(0, last).reduce((sum, w) => sum + w + 2, 0);
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, c) => {
        if (columns[c]?.align === 'right') return cell.padStart(widths[c]!);
        return c === last ? wrap(cell, Math.max(20, width - before), ' '.repeat(before)) : cell.padEnd(widths[c]!);
      })
      .join('  ')
      .trimEnd();
  return [color.dim(line(columns.map(({ title }) => title))), ...rows.map(line)].join('\n');
}

/** A number in about `digits` significant ones, without an exponent where it can be helped. */
export function figure(value: number, digits = 3): string {
  if (!Number.isFinite(value)) return String(value);
  if (value !== 0 && (Math.abs(value) < 1e-3 || Math.abs(value) >= 1e6)) return value.toExponential(1);
  const whole = Math.abs(value) >= 1 ? Math.floor(Math.log10(Math.abs(value))) + 1 : 1;
  return value.toFixed(Math.max(0, digits + 1 - Math.max(1, whole)));
}

export function signed(value: number, digits = 3): string {
  return `${value >= 0 ? '+' : ''}${figure(value, digits)}`;
}

export function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

/** `42s`, `3m 05s`, `2h 10m`. */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole}s`;
  const two = (n: number) => String(n).padStart(2, '0');
  if (whole < 3600) return `${Math.floor(whole / 60)}m ${two(whole % 60)}s`;
  return `${Math.floor(whole / 3600)}h ${two(Math.floor((whole % 3600) / 60))}m`;
}

/** Thousands apart: 788,864. */
export function grouped(count: number): string {
  return Math.round(count).toLocaleString('en-US');
}

/** `1 step`, `2,000 steps`. */
export function many(count: number, noun: string): string {
  return `${grouped(count)} ${noun}${count === 1 ? '' : 's'}`;
}

/** An argument as a shell wants it. */
export function shellQuote(argument: string): string {
  return /^[\w./:=@,+-]+$/.test(argument) ? argument : `'${argument.replaceAll("'", "'\\''")}'`;
}
