/** A replay that waits for something not written yet; its message names what is missing. */
export class NotYet extends Error {}

/** An object of a recorded file, of which everything has to be read: what nobody asks for is an error, not ignored. */
export class Fields {
  readonly #where: string;
  readonly #values: ReadonlyMap<string, unknown>;
  readonly #left: Set<string>;

  constructor(where: string, value: unknown) {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw new Error(`${where}: expected an object, got ${JSON.stringify(value)}`);
    }
    this.#where = where;
    this.#values = new Map(Object.entries(value));
    this.#left = new Set(this.#values.keys());
  }

  has(name: string): boolean {
    return this.#values.has(name);
  }

  any(name: string): unknown {
    if (!this.#values.has(name)) throw new Error(`${this.#where} has no \`${name}\``);
    this.#left.delete(name);
    return this.#values.get(name);
  }

  number(name: string): number {
    return this.#checked(name, 'a number', isNumber);
  }

  boolean(name: string): boolean {
    return this.#checked(name, 'true or false', (value) => typeof value === 'boolean');
  }

  string(name: string): string {
    return this.#checked(name, 'a string', isString);
  }

  numbers(name: string): readonly number[] {
    return this.#checked(name, 'a list of numbers', listOf(isNumber));
  }

  /** With NaN for null: what TRL writes of a reward function that did not judge a row. */
  judgements(name: string): readonly number[] {
    const isJudgement = (value: unknown): value is number | null => value === null || isNumber(value);
    return this.#checked(name, 'a list of numbers or null', listOf(isJudgement)).map((value) => value ?? Number.NaN);
  }

  strings(name: string): readonly string[] {
    return this.#checked(name, 'a list of strings', listOf(isString));
  }

  objects(name: string): Fields[] {
    const list = this.#checked(
      name,
      'a list',
      listOf((value): value is unknown => true),
    );
    return list.map((value, i) => new Fields(`${this.#where}, ${name}[${i}]`, value));
  }

  object(name: string): Fields {
    return new Fields(`${this.#where}, ${name}`, this.any(name));
  }

  /** Numbers by names that are not known beforehand. */
  table(name: string): Readonly<Record<string, number>> {
    const fields = this.object(name);
    return Object.fromEntries(fields.names.map((key) => [key, fields.number(key)]));
  }

  /** `read`, unless the value is null. */
  nullable<Value>(name: string, read: (name: string) => Value): Value | undefined {
    return this.any(name) === null ? undefined : read.call(this, name);
  }

  /** One of the names that are known; of those that are only known by name, a `NotYet`. */
  choice<Name extends string>(name: string, supported: readonly Name[], notYet: readonly string[] = []): Name {
    const value = this.string(name);
    if (notYet.includes(value)) throw new NotYet(`${name} ${value} does not exist yet`);
    if (!supported.includes(value as Name)) this.#fail(name, supported.join(' or '), value);
    return value as Name;
  }

  /** Read, as far as it is there: it describes, or has no effect beside the other options. */
  unused(...names: readonly string[]): void {
    for (const name of names) this.#left.delete(name);
  }

  get names(): string[] {
    return [...this.#values.keys()];
  }

  requireAllRead(): void {
    const left = [...this.#left].map((name) => `\`${name}\` (${JSON.stringify(this.#values.get(name)).slice(0, 40)})`);
    if (left.length > 0) throw new Error(`${this.#where}: the replay does not know ${left.join(', ')}`);
  }

  #checked<Value>(name: string, expected: string, is: (value: unknown) => value is Value): Value {
    const value = this.any(name);
    return is(value) ? value : this.#fail(name, expected, value);
  }

  #fail(name: string, expected: string, got: unknown): never {
    throw new Error(`${this.#where}, ${name}: expected ${expected}, got ${JSON.stringify(got)?.slice(0, 60)}`);
  }
}

function isNumber(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value);
}

function isString(value: unknown): value is string {
  return typeof value === 'string';
}

function listOf<Item>(is: (value: unknown) => value is Item): (value: unknown) => value is Item[] {
  return (value): value is Item[] => Array.isArray(value) && value.every(is);
}
