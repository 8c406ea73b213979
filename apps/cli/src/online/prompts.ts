import { encoderOf, type JsonObject, type Message, placeText, readFiles } from '@kelpie/data';
import type { Tokenizer } from '@kelpie/policy';
import type { OnlinePrompt } from '@kelpie/runner';
import { UsageError } from '../exit.js';

export type LoadedPrompt = OnlinePrompt & { readonly prompt: string };

export interface PromptSource {
  readonly files: readonly string[];
  readonly tokenizer: Tokenizer;
  /** The field that holds the prompt. */
  readonly field: string;
  /** Tokens that are kept free for a completion, of the context. */
  readonly room: number;
  readonly contextLength: number;
}

/**
 * Prompts of JSON lines: a text, or a conversation that the model's template renders up to its own turn. All other fields
 * of a row are what rewards may look at. The same prompt counts once.
 */
export async function loadPrompts({ files, field, ...source }: PromptSource): Promise<LoadedPrompt[]> {
  const prompts = new Map<string, LoadedPrompt>();
  for await (const row of readFiles(files)) {
    const place = placeText(row.where);
    if ('problem' in row) {
      throw new UsageError(`${place}: expected ${row.problem.expected}, got ${row.problem.received}`);
    }
    const { [field]: content, ...meta } = row.value;
    const { text, ids } = encoded(content, source, `${place}: \`${field}\``);
    const longest = source.contextLength - source.room;
    if (ids.length === 0)
      throw new UsageError(`${place}: the prompt has no token, and a completion needs one to begin at`);
    if (ids.length > longest) {
      throw new UsageError(
        `${place}: the prompt has ${ids.length} tokens, and the context has room for ${longest} before a completion`,
      );
    }
    if (!prompts.has(ids.join())) prompts.set(ids.join(), { id: idOf(meta, place), ids, text, prompt: text, meta });
  }
  return [...prompts.values()];
}

function encoded(content: unknown, { tokenizer }: Pick<PromptSource, 'tokenizer'>, called: string) {
  const { encode } = encoderOf(tokenizer);
  if (typeof content === 'string') return { text: content, ids: encode(content, false) };
  if (!isConversation(content)) throw new UsageError(`${called}: expected a text or messages of role and content`);
  const text = tokenizer.applyChatTemplate(content, { addGenerationPrompt: true });
  return { text, ids: encode(text, true) };
}

function isConversation(content: unknown): content is readonly Message[] {
  return (
    Array.isArray(content) &&
    content.length > 0 &&
    content.every((turn) => typeof turn?.role === 'string' && typeof turn?.content === 'string')
  );
}

function idOf({ id }: JsonObject, place: string): string {
  return typeof id === 'string' || typeof id === 'number' ? String(id) : place;
}
