import { DataError, type Problem, show } from './error.js';
import type { Content, Message, Row } from './row.js';
import type { TextTokenizer } from './tokenizer.js';

/** A prompt and its completions as text. */
export interface Rendered {
  readonly prompt: string;
  readonly completions: readonly string[];
  /** From a chat template, which writes the special tokens and the end of a turn itself. */
  readonly templated: boolean;
}

type Rendering = Rendered | { readonly problem: Problem };
type Part = readonly [field: string, content: Content];

function requireTemplate(tokenizer: TextTokenizer, row: Row): void {
  if (tokenizer.chatTemplate !== undefined) return;
  throw new DataError(`Row ${row.id} is a conversation, but the model's tokenizer has no chat template.`, {
    code: 'no-chat-template',
    where: row.where,
    expected: 'a chat template in `tokenizer_config.json` or `chat_template.jinja`',
    received: 'none',
    remedy: 'Use a model with a chat template, or write the rows as text.',
  });
}

/** `prompt` ends with the opening of the assistant's turn; each completion is what the whole has behind it. */
function renderTurns(
  row: Row,
  prompt: readonly Message[],
  parts: readonly Part[],
  tokenizer: TextTokenizer,
): Rendering {
  requireTemplate(tokenizer, row);
  let field = 'prompt';
  try {
    const start = prompt.length === 0 ? '' : tokenizer.applyChatTemplate(prompt, { addGenerationPrompt: true });
    const completions: string[] = [];
    for (const [name, content] of parts) {
      field = name;
      const whole = tokenizer.applyChatTemplate([...prompt, ...(content as readonly Message[])]);
      if (!whole.startsWith(start)) {
        const expected = `a conversation whose text begins with that of the prompt, ${show(start.slice(-40))}`;
        const received = show(whole.slice(Math.max(0, start.length - 40)));
        return { problem: { code: 'template-mismatch', where: row.where, field, expected, received } };
      }
      completions.push(whole.slice(start.length));
    }
    return { prompt: start, completions, templated: true };
  } catch (error) {
    const expected = 'messages that the chat template takes';
    const received = `its error: ${(error as Error).message}`;
    return { problem: { code: 'template-refused', where: row.where, field, expected, received } };
  }
}

function partsOf(row: Row): { prompt: Content; parts: readonly Part[] } {
  if (row.kind === 'pair')
    return {
      prompt: row.prompt,
      parts: [
        ['chosen', row.chosen],
        ['rejected', row.rejected],
      ],
    };
  if (row.kind === 'completion' || row.kind === 'labelled')
    return { prompt: row.prompt, parts: [['completion', row.completion]] };
  return { prompt: typeof row.text === 'string' ? '' : [], parts: [['text', row.text]] };
}

/** A row as text: conversations by the model's chat template, text as it stands. */
export function render(row: Row, tokenizer: TextTokenizer): Rendering {
  const { prompt, parts } = partsOf(row);
  if (typeof prompt !== 'string') return renderTurns(row, prompt, parts, tokenizer);
  return { prompt, completions: parts.map(([, content]) => content as string), templated: false };
}
