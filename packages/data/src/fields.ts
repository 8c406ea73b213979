import { type Problem, type Reason, show, type Where } from './error.js';
import type { CompletionRow, Content, JsonObject, LabelledRow, Message, PairRow, Parsed, TextRow } from './row.js';

/** ShareGPT's names for who speaks. */
const roles = new Map([
  ['human', 'user'],
  ['gpt', 'assistant'],
  ['observation', 'tool'],
  ['function_call', 'assistant'],
]);

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** One turn, or a list of them. */
export function isTurns(value: unknown): boolean {
  return typeof value === 'object' && value !== null;
}

export function asTruth(value: unknown): boolean | undefined {
  if (typeof value === 'boolean') return value;
  return value === 1 || value === 0 ? value === 1 : undefined;
}

/** Whether a column is there: tables put null where a row has nothing. */
export function isGiven(value: unknown): boolean {
  return value !== undefined && value !== null;
}

/** Reads one row's columns and collects what is wrong with them; what could not be read comes back empty. */
export class Fields {
  readonly #problems: Problem[] = [];
  readonly #used = new Set<string>();

  constructor(
    readonly value: JsonObject,
    readonly where: Where,
  ) {}

  has(field: string): boolean {
    return isGiven(this.value[field]);
  }

  problem(code: Reason, field: string, expected: string, received: string): void {
    this.#problems.push({ code, where: this.where, field, expected, received });
  }

  /** Marks a column as read, so that it is not handed on as an extra one. */
  take(field: string, expected: string): unknown {
    this.#used.add(field);
    if (!this.has(field)) {
      const received = this.value[field] === null ? 'null' : 'nothing';
      this.problem('missing-field', field, expected, received);
      return undefined;
    }
    return this.value[field];
  }

  text(field: string): string {
    const value = this.take(field, 'text');
    if (typeof value === 'string') return value;
    if (value !== undefined) this.problem('wrong-type', field, 'text', show(value));
    return '';
  }

  /** A list of turns, one turn, or text, which becomes a turn of `role`. */
  messages(field: string, role: string): readonly Message[] {
    const value = this.take(field, 'a list of messages');
    if (value === undefined) return [];
    if (typeof value === 'string') return [{ role, content: value }];
    if (Array.isArray(value)) return value.flatMap((item, i) => this.#message(item, `${field}[${i}]`));
    return this.#message(value, field);
  }

  /** True or false; 1 and 0 count, as tables often have them. */
  truth(field: string): boolean {
    const value = this.take(field, 'true or false');
    if (value !== undefined && asTruth(value) === undefined)
      this.problem('wrong-type', field, 'true or false', show(value));
    return asTruth(value) ?? false;
  }

  /** `prompt` and `completion`, turns if either is. */
  exchange(): { readonly prompt: Content; readonly completion: Content } {
    if (isTurns(this.value.prompt) || isTurns(this.value.completion))
      return { prompt: this.messages('prompt', 'user'), completion: this.messages('completion', 'assistant') };
    return { prompt: this.text('prompt'), completion: this.text('completion') };
  }

  #message(value: unknown, field: string): Message[] {
    if (!isObject(value)) {
      this.problem('wrong-type', field, 'a message, `{ role, content }` or `{ from, value }`', show(value));
      return [];
    }
    const { role, content, from, value: said, ...rest } = value;
    const speaker = role ?? from;
    const words = this.#words(content ?? said, `${field}.content`);
    if (typeof speaker !== 'string') this.problem('wrong-type', `${field}.role`, 'text', show(speaker));
    if (typeof speaker !== 'string' || words === undefined) return [];
    return [{ ...rest, role: roles.get(speaker) ?? speaker, content: words }];
  }

  /** What a message says: text, or a list of parts, `{ type: 'text', text }`, which are joined as templates write them. */
  #words(content: unknown, field: string): string | undefined {
    if (typeof content === 'string') return content;
    if (!Array.isArray(content)) {
      this.problem('wrong-type', field, 'text, or a list of text parts', show(content));
      return undefined;
    }
    const parts = content.map((part: unknown, i) => {
      if (isObject(part) && part.type === 'text' && typeof part.text === 'string') return part.text;
      const received =
        isObject(part) && typeof part.type === 'string' && part.type !== 'text'
          ? `a part of type ${show(part.type)}`
          : show(part);
      this.problem('wrong-type', `${field}[${i}]`, "a text part, `{ type: 'text', text }`", received);
      return undefined;
    });
    return parts.includes(undefined) ? undefined : parts.join('');
  }

  /** A completion must say something, and in a conversation it is the assistant who begins. */
  #checkCompletion(field: string, content: Content): void {
    const said = typeof content === 'string' ? content : content.map((message) => message.content).join('');
    if (said.trim() === '') this.problem('empty-completion', field, 'a completion with words', show(said));
    else if (typeof content !== 'string' && content[0]?.role !== 'assistant')
      this.problem('wrong-type', field, 'a completion that begins with `assistant`', show(content[0]?.role));
  }

  #facts(): Pick<PairRow, 'id' | 'where' | 'extra'> {
    const { id } = this.value;
    const own = typeof id === 'string' || typeof id === 'number';
    return {
      id: own ? String(id) : `${this.where.file}:${this.where.line}`,
      where: this.where,
      extra: Object.fromEntries(Object.entries(this.value).filter(([key]) => !this.#used.has(key))),
    };
  }

  pair(prompt: Content, chosen: Content, rejected: Content): Parsed<PairRow> {
    if (this.#problems.length === 0) {
      this.#checkCompletion('chosen', chosen);
      this.#checkCompletion('rejected', rejected);
    }
    if (this.#problems.length === 0 && JSON.stringify(chosen) === JSON.stringify(rejected))
      this.problem('same-completions', 'rejected', 'a completion other than `chosen`', 'the same');
    if (this.#problems.length > 0) return { problems: this.#problems };
    return { row: { kind: 'pair', ...this.#facts(), prompt, chosen, rejected } };
  }

  completion(prompt: Content, completion: Content): Parsed<CompletionRow> {
    if (this.#problems.length === 0) this.#checkCompletion('completion', completion);
    if (this.#problems.length > 0) return { problems: this.#problems };
    return { row: { kind: 'completion', ...this.#facts(), prompt, completion } };
  }

  labelled(prompt: Content, completion: Content, desirable: boolean): Parsed<LabelledRow> {
    const parsed = this.completion(prompt, completion);
    return 'row' in parsed ? { row: { ...parsed.row, kind: 'labelled', desirable } } : parsed;
  }

  whole(field: string, text: Content): Parsed<TextRow> {
    const said = typeof text === 'string' ? text : text.map((message) => message.content).join('');
    if (this.#problems.length === 0 && said.trim() === '')
      this.problem('empty-completion', field, 'text with words', show(said));
    if (this.#problems.length > 0) return { problems: this.#problems };
    return { row: { kind: 'text', ...this.#facts(), text } };
  }
}
