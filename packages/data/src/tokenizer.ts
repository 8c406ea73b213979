/** What is asked of a tokenizer here; the policy package's `openTokenizer` gives one. */
export interface TextTokenizer {
  /** With special tokens unless `addSpecialTokens` is false. */
  encode(text: string, options?: { addSpecialTokens?: boolean }): number[];
  decode(ids: number[], options?: { skipSpecialTokens?: boolean }): string;
  tokenText(id: number): string;
  applyChatTemplate(
    messages: readonly { readonly role: string; readonly content: string }[],
    options?: { addGenerationPrompt?: boolean },
  ): string;
  readonly eosTokenId?: number | undefined;
  readonly bosTokenId?: number | undefined;
  readonly chatTemplate?: string | undefined;
  readonly vocabularySize: number;
  readonly hash: string;
}
