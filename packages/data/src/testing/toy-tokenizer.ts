import type { TextTokenizer } from '../tokenizer.js';

export interface ToyOptions {
  /** Pieces of more than one character; the longest that fits is taken. */
  readonly pieces?: readonly string[];
  /** Puts the beginning token in front. Default true. */
  readonly begins?: boolean;
  /** Puts the end token behind, as some post-processors do. Default false. */
  readonly closes?: boolean;
  /** Knows the end token's text as one piece. Default true. */
  readonly knowsEnd?: boolean;
  /** Has an end token. Default true. */
  readonly ends?: boolean;
  /** Default: `<role>content</s>` a turn, alternating roles asked for; none when false. */
  readonly template?: boolean;
}

const bos = '<s>';
const eos = '</s>';

/** Characters as tokens (id = code point), with a few longer pieces from id 1,000: enough to merge across boundaries. */
export function toyTokenizer(options: ToyOptions = {}): TextTokenizer {
  const { pieces = [], begins = true, closes = false, knowsEnd = true, ends = true, template = true } = options;
  const known = [bos, ...(knowsEnd ? [eos] : []), ...pieces].sort((a, b) => b.length - a.length);
  const names = [bos, eos, ...pieces];
  const idOf = (piece: string) => (piece.length > 1 ? 1000 + names.indexOf(piece) : (piece.codePointAt(0) as number));
  const tokenText = (id: number) => (id >= 1000 ? (names[id - 1000] as string) : String.fromCodePoint(id));
  const pieceAt = (text: string, at: number) =>
    known.find((piece) => text.startsWith(piece, at)) ?? (text[at] as string);
  const encode: TextTokenizer['encode'] = (text, { addSpecialTokens = true } = {}) => {
    const ids: number[] = [];
    for (let at = 0; at < text.length; at += pieceAt(text, at).length) ids.push(idOf(pieceAt(text, at)));
    if (!addSpecialTokens) return ids;
    return [...(begins ? [idOf(bos)] : []), ...ids, ...(closes ? [idOf(eos)] : [])];
  };
  return {
    encode,
    decode: (ids) => ids.map(tokenText).join(''),
    tokenText,
    applyChatTemplate(messages, { addGenerationPrompt = false } = {}) {
      messages.forEach(({ role }, i) => {
        if (i > 0 && role === messages[i - 1]?.role) throw new Error('Roles must alternate');
      });
      const turns = messages.map(({ role, content }) => `<${role}>${content}${role === 'assistant' ? eos : '\n'}`);
      return turns.join('') + (addGenerationPrompt ? '<assistant>' : '');
    },
    ...(ends ? { eosTokenId: 1001 } : {}),
    ...(begins ? { bosTokenId: 1000 } : {}),
    ...(template ? { chatTemplate: 'toy' } : {}),
    vocabularySize: 1000 + names.length,
    hash: 'toy',
  };
}
