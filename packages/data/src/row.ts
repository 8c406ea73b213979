import type { Problem, Where } from './error.js';

export type JsonObject = Readonly<Record<string, unknown>>;

/** One turn of a conversation. Further keys (`name`, `tool_calls`) reach the chat template as they are. */
export interface Message {
  readonly role: string;
  readonly content: string;
  readonly [key: string]: unknown;
}

/** Plain text, or turns that the model's chat template makes into text. */
export type Content = string | readonly Message[];

interface RowFacts {
  /** The row's own `id` column if it has one, else `file:line`. */
  readonly id: string;
  readonly where: Where;
  /** The columns the format did not use (`score`, `label`, `margin` ...), as they were. */
  readonly extra: JsonObject;
}

/** A prompt with a chosen and a rejected completion. The three are all text or all turns. */
export interface PairRow extends RowFacts {
  readonly kind: 'pair';
  readonly prompt: Content;
  readonly chosen: Content;
  readonly rejected: Content;
}

/** A prompt with one completion. Both are text or both are turns. */
export interface CompletionRow extends RowFacts {
  readonly kind: 'completion';
  readonly prompt: Content;
  readonly completion: Content;
}

/** A prompt with a completion that is wanted (desirable) or not. Both are text or both are turns. */
export interface LabelledRow extends RowFacts {
  readonly kind: 'labelled';
  readonly prompt: Content;
  readonly completion: Content;
  readonly desirable: boolean;
}

/** Text, or a whole conversation, without a prompt of its own. */
export interface TextRow extends RowFacts {
  readonly kind: 'text';
  readonly text: Content;
}

export type Row = PairRow | CompletionRow | LabelledRow | TextRow;
export type RowKind = Row['kind'];

export type Parsed<R extends Row = Row> = { readonly row: R } | { readonly problems: readonly Problem[] };

/** A shape that rows come in. One file of `formats/` each. */
export interface Format<R extends Row = Row> {
  readonly name: string;
  readonly kind: R['kind'];
  /** The columns it wants, in words, for messages. */
  readonly wants: string;
  /** Whether one row, read by its keys and types, is of this shape. Two formats of a kind never match the same row. */
  matches(sample: JsonObject): boolean;
  parse(row: JsonObject, where: Where): Parsed<R>;
}
