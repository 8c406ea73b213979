import { Fields, isGiven } from '../fields.js';
import type { Format, Message, PairRow } from '../row.js';

const isTurns = (value: unknown) => typeof value === 'object' && value !== null;
const same = (a: Message | undefined, b: Message | undefined) => JSON.stringify(a) === JSON.stringify(b);

function startsWith(whole: readonly Message[], start: readonly Message[]): boolean {
  return start.length < whole.length && start.every((message, i) => same(message, whole[i]));
}

/** The last place, within what both share, where the assistant speaks next on both sides. */
function sharedTurns(chosen: readonly Message[], rejected: readonly Message[]): number {
  let shared = 0;
  while (shared < chosen.length && shared < rejected.length && same(chosen[shared], rejected[shared])) shared++;
  for (let i = Math.min(shared, chosen.length - 1, rejected.length - 1); i > 0; i--)
    if (chosen[i]?.role === 'assistant' && rejected[i]?.role === 'assistant') return i;
  return 0;
}

function promptOf(fields: Fields): readonly Message[] {
  const column = ['conversations', 'prompt'].find((name) => fields.has(name));
  const turns = column === undefined ? [] : fields.messages(column, 'user');
  const system = fields.has('system') && column !== undefined ? fields.messages('system', 'system') : [];
  return system.some(({ content }) => content !== '') ? [...system, ...turns] : turns;
}

/**
 * Conversations. The prompt is `prompt` (turns, or text: one turn of the user) or `conversations` (ShareGPT, with its
 * `from` and `value`, and a `system` column if there is one); `chosen` and `rejected` are a turn or several. Where these
 * are whole conversations, with or without a prompt beside them, the prompt is the turns that both share, up to the
 * last place where the assistant speaks next on both sides.
 */
export const messagesPairs: Format<PairRow> = {
  name: 'messages-pairs',
  kind: 'pair',
  wants: '`chosen` and `rejected` as messages, with `prompt` or `conversations`, or whole conversations without',
  matches: ({ prompt, conversations, chosen, rejected }) =>
    isGiven(chosen) && isGiven(rejected) && [prompt, conversations, chosen, rejected].some(isTurns),
  parse(value, where) {
    const fields = new Fields(value, where);
    const prompt = promptOf(fields);
    const chosen = fields.messages('chosen', 'assistant');
    const rejected = fields.messages('rejected', 'assistant');
    if (prompt.length > 0 && startsWith(chosen, prompt) && startsWith(rejected, prompt))
      return fields.pair(prompt, chosen.slice(prompt.length), rejected.slice(prompt.length));
    const explicit = prompt.length > 0 && chosen[0]?.role === 'assistant' && rejected[0]?.role === 'assistant';
    if (explicit || chosen.length === 0 || rejected.length === 0) return fields.pair(prompt, chosen, rejected);
    const end = sharedTurns(chosen, rejected);
    if (end === 0)
      fields.problem(
        'no-shared-prompt',
        'rejected',
        'turns that begin like `chosen`, up to one of the assistant',
        `${rejected.length} turns, the first by \`${rejected[0]?.role}\``,
      );
    return fields.pair(chosen.slice(0, end), chosen.slice(end), rejected.slice(end));
  },
};
