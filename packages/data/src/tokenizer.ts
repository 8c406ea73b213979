import type { Message } from './row.js';

/** What is asked of a tokenizer here; the policy package's `openTokenizer` gives one. */
export interface TextTokenizer {
  /** With special tokens unless `addSpecialTokens` is false. */
  encode(text: string, options?: { readonly addSpecialTokens?: boolean }): number[];
  decode(ids: readonly number[], options?: { readonly skipSpecialTokens?: boolean }): string;
  tokenText(id: number): string | undefined;
  applyChatTemplate(messages: readonly Message[], options?: { readonly addGenerationPrompt?: boolean }): string;
  /** What ends a completion in training. */
  readonly eosTokenId?: number | undefined;
  /** All that may end one. Default: `eosTokenId` alone. */
  readonly eosTokens?: readonly number[] | undefined;
  readonly bosTokenId?: number | undefined;
  readonly unkTokenId?: number | undefined;
  readonly chatTemplate?: string | undefined;
  readonly vocabularySize: number;
  readonly hash: string;
}
