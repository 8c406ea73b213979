import { MAX_LEVELS } from '@kelpie/policy';
import { CST, Lexer } from 'yaml';

/**
 * The offset at which YAML nests too deeply, if it does. Asked before it is parsed: the parser calls itself at every level, and
 * where the stack ends while a regular expression is compiled, V8 ends the process. Counted are brackets within brackets and,
 * outside of them, a line's indent and indicators (`-`, `?`, `:`).
 */
export function tooDeepAt(text: string): number | undefined {
  let offset = 0;
  let brackets = 0;
  let blocks = 0;
  let lineStarts = true;
  let isScalar = false;
  for (const token of new Lexer().lex(text)) {
    const type: string | null = isScalar ? 'text' : CST.tokenType(token);
    isScalar = type === 'scalar';
    // Marks of the lexer's own, which the text does not have.
    if (isScalar || type === 'doc-mode' || type === 'flow-error-end') continue;
    if (type === 'flow-seq-start' || type === 'flow-map-start') brackets++;
    else if (type === 'flow-seq-end' || type === 'flow-map-end') brackets--;
    else if (brackets === 0 && type === 'newline') blocks = 0;
    else if (brackets === 0 && type === 'space' && lineStarts) blocks += token.length;
    else if (brackets === 0 && type?.endsWith('-ind')) blocks++;
    const opens = type?.endsWith('-start') || type?.endsWith('-ind');
    if (opens && brackets + blocks > MAX_LEVELS) return offset;
    lineStarts = type === 'newline';
    offset += token.length;
  }
  return undefined;
}
