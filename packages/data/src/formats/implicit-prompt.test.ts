import { describe, expect, it } from 'vitest';
import { testFormat } from '../testing/format-suite.js';
import { implicitPrompt } from './implicit-prompt.js';

const tea = '\n\nHuman: Is tea a plant?\n\nAssistant: Yes.\n\nHuman: Which part?\n\nAssistant:';

testFormat({
  format: implicitPrompt,
  rows: [
    { chosen: `${tea} The leaves.`, rejected: `${tea} The moon.` },
    { chosen: `${tea} The young leaves.`, rejected: `${tea} The young ones.` },
    { chosen: 'The sky is blue.', rejected: 'The sky is made of tin.' },
    { chosen: `${tea} The leaves.`, rejected: 'Tea, then.' },
    { chosen: `${tea} I know: leaves.`, rejected: `${tea} I do not know.` },
  ],
  broken: 3,
  says: '`rejected`: expected text that begins like `chosen`, "\\n\\nHuman: Is tea a plant?\\n\\nAssistant…, received "Tea, then."',
  first: { prompt: tea, chosen: ' The leaves.', rejected: ' The moon.' },
});

it('was hidden by a prompt column that is null', () => {
  const row = { chosen: `${tea} The leaves.`, rejected: `${tea} The moon.` };
  expect(implicitPrompt.matches({ ...row, prompt: null, messages: null, question: null })).toBe(true);
  expect(implicitPrompt.matches({ ...row, prompt: null, question: 'Which part?' })).toBe(false);
});

describe('where an implicit prompt ends', () => {
  const cut = (chosen: string, rejected: string) => {
    const parsed = implicitPrompt.parse({ chosen, rejected }, { file: 'rows.jsonl', line: 1 });
    return 'row' in parsed ? [parsed.row.prompt, parsed.row.chosen, parsed.row.rejected] : parsed.problems[0]?.code;
  };

  it('is behind the last shared `Assistant:`, though the answers begin alike', () => {
    expect(cut(`${tea} I think leaves.`, `${tea} I think roots.`)).toEqual([
      tea,
      ' I think leaves.',
      ' I think roots.',
    ]);
  });

  it('is at the turn where they part, though one dialogue goes on for longer', () => {
    const longer = `${tea} A.\n\nHuman: And then?\n\nAssistant: B.`;
    expect(cut(longer, `${tea} C.`)).toEqual([tea, longer.slice(tea.length), ' C.']);
  });

  it('without turns is behind the last whole word that they share', () => {
    expect(cut('The cat sat.', 'The car came.')).toEqual(['The', ' cat sat.', ' car came.']);
    expect(cut('Say yes now', 'Say yes then')).toEqual(['Say yes', ' now', ' then']);
    expect(cut('Answer:\nyes', 'Answer:\nno')).toEqual(['Answer:\n', 'yes', 'no']);
    expect(cut('Well, no', 'Oh, no')).toBe('no-shared-prompt');
  });
});
